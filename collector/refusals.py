"""What the collector records of requests it refuses, and of duplicates: enough to find the cause, nothing personal."""

from __future__ import annotations

from collections import OrderedDict

import orjson
import structlog

from collector.intake import Context, Receipt, outcome_record, pseudonym, say_number
from collector.settings import CollectorSettings
from collector.sources import Refusal
from eventlog.errors import NoSpace, Unavailable
from eventlog.log import Outgoing, Producer
from eventlog.outcome import Outcome
from eventlog.timestamps import format_ms, now_ms
from eventlog.topics import REJECTED

_log = structlog.get_logger(__name__)

# Strangers must not fill the topic, nor this process: one record a second for each (origin, reason), of so many.
_EVERY_MS = 1000
_REMEMBERED = 10_000


class Refusals:
    """Records each kind of refused request at most once a second; they are counted in `Answered`."""

    def __init__(self, settings: CollectorSettings, producer: Producer) -> None:
        self._settings = settings
        self._producer = producer
        self._last: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    async def record(self, refusal: Refusal, origin: str | None, path: str) -> None:
        now = now_ms()
        kind = (refusal.code, refusal.source or "", origin or "")
        if now - self._last.get(kind, 0) < _EVERY_MS:
            return
        self._last[kind] = now
        self._last.move_to_end(kind)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        outcome: Outcome = {
            "status": "rejected",
            "reason": refusal.code,
            "received_at": format_ms(now),
            "message": f"{refusal} ({path})",
        }
        if refusal.source:
            outcome["source"] = refusal.source
        if origin:
            outcome["origin"] = origin[:256]
        secret = self._settings.secret.get_secret_value().encode()
        topic = self._settings.topic_prefix + REJECTED.name
        key = pseudonym("id", refusal.source or refusal.code, secret)
        headers = (("content-type", b"application/json"),)
        try:
            await self._producer.append([Outgoing(topic, key, orjson.dumps(outcome), headers, now)])
        except (Unavailable, NoSpace):
            # Nothing was promised to whoever was refused; the count remains.
            _log.warning("refusal_not_recorded", reason=refusal.code)

    @staticmethod
    def duplicate(receipt: Receipt, context: Context) -> Outgoing:
        """The record of a second copy of an event."""
        outcome: Outcome = {
            "status": "duplicate",
            "reason": "duplicate",
            "source": context.source,
            "received_at": context.received_at,
            "protocol": context.protocol,
        }
        if receipt.id:
            outcome["id"] = receipt.id
        say_number(outcome, receipt.numbered)
        return outcome_record(outcome, receipt.id or "", context)
