"""What each command does; its answer is the exit code: 0 done, 1 a finding."""

from __future__ import annotations

import asyncio
import re
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop

from eventlog.timestamps import DAY_MS, HOUR_MS, MINUTE_MS, now_ms, parse_ms
from trackway.settings import ConfigError

_log = structlog.get_logger(__name__)

_DURATION: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def run(work: Callable[[], Awaitable[int]]) -> int:
    """Run a coroutine on uvloop."""

    async def main() -> int:
        return await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def moment(text: str) -> int:
    """`start`, `now`, a duration before now (`15m`), or a time, as milliseconds. Raises ConfigError."""
    if text in ("start", "now"):
        return 0 if text == "start" else now_ms()
    duration = _DURATION.fullmatch(text)
    if duration:
        return now_ms() - int(duration.group(1)) * _UNITS[duration.group(2)]
    try:
        return parse_ms(text)
    except ValueError:
        raise ConfigError([f"{text!r} is no time; write start, now, 15m, 24h or 2026-11-24T10:00:00Z"]) from None


def shows_pii(arguments: Namespace) -> bool:
    """Whether personal data is asked for, with a reason, which is logged. Raises ConfigError without one."""
    if not arguments.pii:
        return False
    if not arguments.reason:
        raise ConfigError(["--pii shows personal data and needs --reason"])
    _log.info("personal_data_shown", command=arguments.command, reason=arguments.reason)
    return True
