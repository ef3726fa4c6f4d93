"""What is compared: each tracker as a site uses it, on the site's own origin, with a page view and an event a click."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.script import DIST, Script
from tests.sdks import heads
from tests.sdks.pages import Pages
from tests.sdks.running import HERE

ROOT = Path(__file__).parents[2]
CORE = "Trackway, core"
WHOLE = "Trackway, core and all add-ons"
# What a click tells; `n` is its number.
_PROPERTIES = "{product_id: 'SKU-1042', list: 'related', position: n}"
_MINIFIED = ("--minify", "--format=iife", "--target=es2020", "--legal-comments=none")


@dataclass(frozen=True)
class Contestant:
    """`head(pages)`: what stands in the page's head. `click`: the button's script. `events`: the paths at which its
    events arrive, `asks`: what it asks for before. No events: it is the page alone."""

    name: str
    version: str
    head: Callable[[Pages], str]
    click: str
    events: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


def manifest() -> dict[str, Any]:
    """static/dist/manifest.json."""
    read: dict[str, Any] = json.loads((DIST / "manifest.json").read_text(encoding="utf-8"))
    return read


def _locked(folder: str, package: str) -> str:
    versions = json.loads((HERE / "node" / folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return str(versions[package])


def _ours(addons: str = "") -> Callable[[Pages], str]:
    line = f'<script src="/tw/t.js{addons}" data-key="wk_shop" data-consent="granted" async></script>'
    return lambda _: line


def _plausible(pages: Pages) -> str:
    code = "export { init, track } from '@plausible-analytics/tracker'"
    script = heads.bundle("plausible", code, (*_MINIFIED, "--global-name=Plausible"), "bench.js")
    started = f"Plausible.init({heads.plausible_options(pages.url)});"
    return f'<script src="{script}"></script><script>{started}</script>'


def _snowplow(pages: Pages) -> str:
    code = "export { newTracker, trackPageView, trackSelfDescribingEvent } from '@snowplow/browser-tracker'"
    script = heads.bundle("snowplow", code, (*_MINIFIED, "--global-name=snowplow"), "bench.js")
    return heads.snowplow(pages.url, script) + "<script>snowplow.trackPageView();</script>"


def _segment(pages: Pages) -> str:
    return heads.segment(pages.url) + "<script>analytics.page();</script>"


def contestants() -> list[Contestant]:
    """The page alone, ours in its two forms, and the others."""
    click = f"trackway('track', 'Read', {_PROPERTIES})"
    addons = "?with=" + ",".join(Script().add_ons)
    ours, path = manifest()["version"], ("/tw/e",)
    read = f"{{event: {{schema: 'iglu:com.acme/Read/jsonschema/1-0-0', data: {_PROPERTIES}}}}}"
    return [
        Contestant("the page alone", "", lambda _: "", ""),
        Contestant(CORE, ours, _ours(), click, path, ("/tw/t.js",)),
        Contestant(WHOLE, ours, _ours(addons), click, path, ("/tw/t.js",)),
        Contestant(
            "Plausible", _locked("plausible", "@plausible-analytics/tracker"), _plausible,
            f"Plausible.track('Read', {{props: {_PROPERTIES}}})", ("/api/event",),
        ),
        Contestant(
            "Snowplow", _locked("snowplow", "@snowplow/browser-tracker"), _snowplow,
            f"snowplow.trackSelfDescribingEvent({read})", ("/com.snowplowanalytics.snowplow/tp2",),
        ),
        Contestant(
            "Segment", _locked("segment", "@segment/analytics-next"), _segment,
            f"analytics.track('Read', {_PROPERTIES})", ("/v1/p", "/v1/t"), ("/v1/projects/wk_shop/settings",),
        ),
    ]  # fmt: skip
