"""Values into pages: the templates, what stands on every page, and the two static files."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from eventlog.timestamps import format_ms, now_ms
from exporter.console.auth import SignIn, Visit
from exporter.console.mask import mask_within
from exporter.console.rows import pretty
from exporter.problem import Problem
from exporter.settings import ExporterSettings

STATIC: Final = Path(__file__).parents[2] / "static"

# Only pages that exist: address, name, and what else belongs to it.
NAVIGATION: Final = (
    ("/console/start", "Start", ()),
    ("/console/live", "Live", ("/console/events/",)),
    ("/console/rejected", "Rejected", ()),
    ("/console/profiles", "Profiles", ("/console/profiles/",)),
    ("/console/exports", "Exports", ("/console/runs/",)),
)
_STATIC_TYPES: Final = {"console.css": "text/css", "console.js": "text/javascript"}

# Icon, class and word of every status that pages show; unknown ones are shown as they are.
_STATUSES: Final[dict[str, tuple[str, str]]] = {
    "accepted": ("✓", "good"),
    "succeeded": ("✓", "good"),
    "done": ("✓", "good"),
    "final": ("✓", "good"),
    "duplicate": ("=", "quiet"),
    "twin": ("=", "quiet"),
    "closed": ("■", "quiet"),
    "filtered": ("⊘", "quiet"),
    "planned": ("○", "quiet"),
    "waiting": ("○", "quiet"),
    "open": ("●", "busy"),
    "running": ("●", "busy"),
    "unattributed": ("?", "warn"),
    "sending": ("●", "busy"),
    "partial": ("!", "warn"),
    "stalled": ("!", "warn"),
    "rejected": ("✕", "bad"),
    "poison": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "aborted": ("✕", "bad"),
}


@dataclass(frozen=True)
class Frame:
    """What of a page is not its data. `cli` is the same thing from the command line."""

    title: str
    template: str
    cli: str = ""
    status: int = 200


class Renderer:
    """Makes pages."""

    def __init__(self, settings: ExporterSettings, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._mode = _mode(settings)
        self._version = importlib.metadata.version("trackway")
        self._files = {name: (STATIC / name).read_bytes() for name in _STATIC_TYPES}
        self._environment = Environment(
            loader=PackageLoader("exporter.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "pretty": pretty, "path": quote_segment, "clock": clock, "moment": moment, "count": count,
            "duration": duration, "masked": mask_within,
        }  # fmt: skip
        self._environment.globals |= {
            "statuses": _STATUSES,
            "navigation": NAVIGATION,
            "versions": {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self._files.items()},
        }

    def page(self, request: Request, visit: Visit | None, frame: Frame, data: Mapping[str, Any]) -> Response:
        """A whole page."""
        text = self._environment.get_template(frame.template).render(
            data=data,
            title=frame.title,
            cli=frame.cli,
            visit=visit,
            form_token=self._sign_in.form_token(visit),
            here=request.url.path,
            refresh=refresh_of(request),
            version=self._version,
            mode=self._mode,
            now=format_ms(now_ms()),
        )
        headers = {"Refresh": str(refresh)} if (refresh := refresh_of(request)) and frame.status == 200 else None
        return HTMLResponse(text, frame.status, headers=headers)

    def problem(self, request: Request, visit: Visit | None, problem: Problem) -> Response:
        """The page of an error: what, where, what to do."""
        frame = Frame("Something is missing" if problem.status == 404 else "This did not work", "problem.html")
        response = self.page(request, visit, Frame(frame.title, frame.template, status=problem.status), problem.body())
        response.headers.update({name: value for name, value in problem.headers.items() if name == "Retry-After"})
        return response

    def static(self, name: str) -> Response:
        """A static file. Its address holds its hash, so browsers may keep it for ever."""
        if name not in self._files:
            raise Problem("not_found", "There is no such file.", where="path")
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._files[name], media_type=_STATIC_TYPES[name], headers=headers)


def refresh_of(request: Request) -> int:
    """Seconds after which a page without script reloads itself; 0 = it does not."""
    text = request.query_params.get("refresh", "")
    return min(60, max(2, int(text))) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def quote_segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def clock(time: str) -> str:
    """`2026-11-24T10:15:00.184Z` as `10:15:00.184`."""
    return time[11:23]


def moment(time: str | int | None) -> str:
    """A time for reading, with its zone; integers are milliseconds."""
    if time is None or time == "":
        return "–"
    text = format_ms(time) if isinstance(time, int) else str(time)
    return f"{text[:10]} {text[11:19]} UTC"


def count(number: Any) -> str:
    """1,204."""
    return f"{number:,}" if isinstance(number, int | float) else str(number)


def duration(milliseconds: int | None) -> str:
    """`184 ms`, `4.2 s`, `12 min`, `3.5 h`."""
    if milliseconds is None:
        return "–"
    for limit, size, unit in ((1000, 1, "ms"), (60_000, 1000, "s"), (3_600_000, 60_000, "min")):
        if abs(milliseconds) < limit:
            return f"{milliseconds / size:.3g} {unit}"
    return f"{milliseconds / 3_600_000:.1f} h"


def _mode(settings: ExporterSettings) -> str:
    if settings.is_kafka:
        return "cluster"
    return "embedded" if not settings.store.startswith("postgresql") else "embedded log, PostgreSQL"
