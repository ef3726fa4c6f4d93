"""Logs and metrics. Nothing personal and no secret is ever logged or counted.

Logs: JSON lines to stderr. Metrics: every one is declared here, once, with the closed list of its labels' values; the
services fill in their values when they are asked (numbers.py). docs/metrics.md is made from this table.
"""

from __future__ import annotations

import logging
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, get_args

import orjson
import structlog

from eventlog.errors import FilteredReason, PoisonReason, RejectedReason

Service = Literal["collector", "aggregator", "exporter"]
Kind = Literal["counter", "gauge", "histogram"]
# How the values of several processes become one.
Merge = Literal["sum", "largest", "smallest"]

SERVICES: Final[tuple[Service, ...]] = get_args(Service)

# Labels whose values are the names of what is configured.
SOURCE, WORKFLOW, VERSION = "a source of the settings", "a workflow of the settings", "a version"
Values = tuple[str, ...] | str

# Why a request was refused whole: the codes of the collector's answers.
REFUSED_CODES: Final = (
    "bad_request", "invalid_json", "not_utf8", "too_deep", "bad_compression", "cut_off",
    "unknown_key", "origin_not_allowed", "server_key_in_browser", "not_found", "method", "slow_headers", "slow_body",
    "body_too_large", "too_many_events", "too_many_values", "unknown_compression", "unknown_format",
    "headers_too_large",
    "unavailable", "rate_limited", "too_many_bytes", "too_many_connections", "disk_full",
)  # fmt: skip
EVENT_REASONS: Final = ("", *get_args(RejectedReason), *get_args(FilteredReason))
RECORD_STATUSES: Final = (
    "accepted", "unattributed", "twin", "poison", "rejected", "filtered", "duplicate", "unknown",
)  # fmt: skip
ROW_OUTCOMES: Final = ("accepted", "refused", "unknown", "invalid", "suppressed", "unchanged")
# The browsers that are told apart, as user agents name them; all others are the last. What is known of a page load goes
# by the first in the alphabet, so `other` has a small letter.
BROWSERS: Final = (
    "Chrome", "Chrome Mobile", "Chrome Mobile WebView", "Chrome Mobile iOS", "Edge", "Edge Mobile", "Facebook",
    "Firefox", "Firefox Mobile", "Firefox iOS", "Instagram", "Mobile Safari", "Mobile Safari UI/WKWebView", "Opera",
    "Opera Mobile", "Safari", "Samsung Internet", "other",
)  # fmt: skip
RUN_STATES: Final = ("succeeded", "partial", "failed", "aborted")
CHECKS: Final[dict[Service, tuple[str, ...]]] = {
    "collector": ("stopping", "log", "spool", "disk", "workers"),
    "aggregator": ("stopping", "process", "store", "log", "partitions", "lag"),
    "exporter": ("stopping", "store", "exports"),
}

# How much of an exception is told.
_CAUSES, _STEPS = 5, 12

_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LONG: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` with the values each may have; `buckets` of a histogram are upper bounds in seconds."""

    name: str
    kind: Kind
    help: str
    services: tuple[Service, ...]
    labels: dict[str, Values] = field(default_factory=dict)
    merge: Merge = "sum"
    buckets: tuple[float, ...] = ()


_ALL: Final = SERVICES
_COLLECTOR: Final[tuple[Service, ...]] = ("collector",)
_AGGREGATOR: Final[tuple[Service, ...]] = ("aggregator",)
_EXPORTER: Final[tuple[Service, ...]] = ("exporter",)
_CHECKED: Final = tuple(sorted({check for checks in CHECKS.values() for check in checks}))
_TOPICS: Final = ("events", "rejected")

METRICS: Final = (
    Metric("trackway_build_info", "gauge", "1, with the version.", _ALL, {"service": SERVICES, "version": VERSION},
           "largest"),
    Metric("trackway_ready", "gauge", "Whether a check of /ready is passed: 1 or 0.", _ALL,
           {"service": SERVICES, "check": _CHECKED}, "smallest"),
    Metric("trackway_processes", "gauge", "Processes of the service that these numbers are of.", _ALL,
           {"service": SERVICES}),
    Metric("trackway_start_time_seconds", "gauge", "When the youngest of its processes started, in seconds since 1970.",
           _ALL, {"service": SERVICES}, "largest"),
    Metric("trackway_child_deaths_total", "counter", "Processes that died and were replaced: workers of `collect`, the "
           "aggregator of `up`.", ("collector", "aggregator"), {"service": ("collector", "aggregator")}),
    Metric("trackway_cpu_seconds_total", "counter", "Processor time used.", _ALL, {"service": SERVICES}),
    Metric("trackway_resident_memory_bytes", "gauge", "Memory resident.", _ALL, {"service": SERVICES}),

    Metric("trackway_events_total", "counter", "Events answered, by what their receipts say.", _COLLECTOR,
           {"source": SOURCE, "status": ("accepted", "duplicate", "filtered", "rejected"), "reason": EVENT_REASONS}),
    Metric("trackway_requests_refused_total", "counter", "Requests refused whole, by the code of the answer.",
           _COLLECTOR, {"reason": REFUSED_CODES}),
    Metric("trackway_append_seconds", "histogram", "How long a request's records took to become durable.", _COLLECTOR,
           buckets=_SHORT),
    Metric("trackway_in_flight_bytes", "gauge", "Bytes of the requests being worked on.", _COLLECTOR),
    Metric("trackway_spool_records", "gauge", "Records on the collector's own disk that are not in the log yet.",
           _COLLECTOR),
    Metric("trackway_spool_bytes", "gauge", "Their bytes.", _COLLECTOR),
    Metric("trackway_spool_oldest_seconds", "gauge", "How long the oldest of them has waited; 0: none waits.",
           _COLLECTOR, merge="largest"),
    Metric("trackway_undeliverable_records", "gauge", "Acknowledged records that Kafka refuses for good, kept by the "
           "collector for a person to look at.", _COLLECTOR),
    Metric("trackway_disk_free_bytes", "gauge", "Room left on the disk of `data`.", _COLLECTOR, merge="smallest"),
    Metric("trackway_dedup_window_seconds", "gauge", "How far back every accepted id is known: the setting, or less "
           "while the collector is new or `dedup.max_ids` cuts it.", _COLLECTOR, merge="smallest"),
    Metric("trackway_dedup_ids", "gauge", "Ids known.", _COLLECTOR),
    Metric("trackway_settings_read_total", "counter", "Times the settings file was read again, by what came of it.",
           _COLLECTOR, {"result": ("taken", "refused")}),
    Metric("trackway_settings_refused", "gauge", "1 while the settings file holds what cannot be taken.", _COLLECTOR,
           merge="largest"),

    Metric("trackway_records_total", "counter", "Records of both topics folded, by what they are.", _AGGREGATOR,
           {"status": RECORD_STATUSES}),
    Metric("trackway_poison_total", "counter", "Records set aside as poison.", _AGGREGATOR,
           {"reason": get_args(PoisonReason)}),
    Metric("trackway_batch_seconds", "histogram", "How long a batch of records took to be stored.", _AGGREGATOR,
           buckets=_LONG),
    Metric("trackway_profile_pass_seconds", "histogram", "How long it took to make the profiles that had changed.",
           _AGGREGATOR, buckets=_LONG),
    Metric("trackway_profiles_made_total", "counter", "Marks handled: each has the profiles it concerns made anew.",
           _AGGREGATOR),
    Metric("trackway_lag_records", "gauge", "Records in the log that this process has yet to fold, of its partitions.",
           _AGGREGATOR, {"topic": _TOPICS}),
    Metric("trackway_lag_seconds", "gauge", "How old the newest folded record of the partition furthest behind is; "
           "0 where nothing waits.", _AGGREGATOR, {"topic": _TOPICS}, "largest"),
    Metric("trackway_stopped_partitions", "gauge", "Partitions that are read no further.", _AGGREGATOR),
    Metric("trackway_outbox_records", "gauge", "Records of the store that wait to be sent to their topics.",
           _AGGREGATOR, merge="largest"),
    Metric("trackway_outbox_oldest_seconds", "gauge", "How long the oldest of them has waited; 0: none waits.",
           _AGGREGATOR, merge="largest"),
    Metric("trackway_sessions_changing", "gauge", "Sessions that are not final yet; counted once a minute.",
           _AGGREGATOR, merge="largest"),

    Metric("trackway_browser_events_made", "gauge", "Events that page loads of our tracker have made, as their numbers "
           "tell: of loads that began within the last hour.", _AGGREGATOR,
           {"source": SOURCE, "browser": BROWSERS}, "largest"),
    Metric("trackway_browser_events_arrived", "gauge", "How many of those have arrived, whatever became of them.",
           _AGGREGATOR, {"source": SOURCE, "browser": BROWSERS}, "largest"),

    Metric("trackway_export_rows_total", "counter", "Rows of export runs that have ended, by what became of them.",
           _EXPORTER, {"workflow": WORKFLOW, "outcome": ROW_OUTCOMES}),
    Metric("trackway_export_runs_total", "counter", "Export runs that have ended.", _EXPORTER,
           {"workflow": WORKFLOW, "state": RUN_STATES}),
    Metric("trackway_export_failing_seconds", "gauge", "For how long no run of the workflow has succeeded since one "
           "failed; 0 while all is well.", _EXPORTER, {"workflow": WORKFLOW}, "largest"),
    Metric("trackway_export_last_success_seconds", "gauge", "When the workflow's last successful live run ended, in "
           "seconds since 1970; 0: never.", _EXPORTER, {"workflow": WORKFLOW}, "largest"),

    Metric("trackway_store_answer_seconds", "gauge", "How long the store took to answer when it was last asked.",
           ("aggregator", "exporter"), {"service": ("aggregator", "exporter")}, "largest"),
)  # fmt: skip

BY_NAME: Final = {metric.name: metric for metric in METRICS}


def set_up_logging(level: int = logging.INFO) -> None:
    """Have everything that is logged written as JSON lines with time and level; libraries only speak from warnings up.

    Of exceptions their kind and their way are told, never their text: it may hold what a sender sent.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # aiokafka reports each retry of a request as an error; what matters reaches us as an exception.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up each time: whoever runs a command in its own process may have put another stderr in place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    sys.excepthook = _tell_of_the_end


class _JsonLines(logging.Formatter):
    """What libraries log, in the shape of our own lines."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[1] is not None:
            told |= without_its_text(record.exc_info[1])
        told["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        return orjson.dumps(told).decode()


def without_its_text(error: BaseException) -> dict[str, Any]:
    """An exception as it may be logged: its kind, its causes' kinds, and the last steps of its way."""
    kinds: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(kinds) < _CAUSES:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    steps = traceback.extract_tb(error.__traceback__)[-_STEPS:]
    return {"error": " from ".join(kinds), "frames": [f"{step.filename}:{step.lineno}" for step in steps]}


def _tell_of_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger(__name__).critical("died", **without_its_text(error))
