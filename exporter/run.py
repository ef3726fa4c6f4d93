"""One export run: rows -> batches -> stream -> ledger.

A live run reads what has changed since the last one that went through (or everything), leaves out what the stream
already holds, and moves its checkpoint with each batch, so that the next run goes on where this one may end. A draft
sends a sample, marked as such, and leaves the stream's checkpoint alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from eventlog.timestamps import DAY_MS, now_ms
from exporter.cdp.stream import Delivery, Stream, StreamError, StreamStopped, Target
from exporter.lease import Lease, LeaseLost, held
from exporter.ledger import Origin, State, lease_name
from exporter.lookup import Lookup
from exporter.processors import Row
from exporter.row_maker import RowMaker, types_of
from exporter.rows import Fault, content_of, emptied, key_of
from exporter.run_record import Checkpoint, Plan, Prepared, Refusal, RunRecord, Scope
from exporter.sender import Sender, TooManyRefused
from exporter.settings import ExporterSettings
from exporter.sources.events import EventLog
from exporter.sources.files import NdjsonFile
from exporter.sources.item import Cursor, Item, Source, SourceError
from exporter.sources.profiles import Profiles
from exporter.store import Store
from exporter.workflow import Mode, Workflow, WorkflowError, find_workflow

_log = structlog.get_logger(__name__)

_CHUNK: Final = 500
# A draft looks at this many items for each row it sends.
_LOOKED_AT: Final = 20
# What the ledger has for the content of an emptied row.
_EMPTY: Final = b""


class Busy(WorkflowError):  # noqa: N818 - a state of the workflow
    """The workflow, or its stream, is being run by somebody else."""


async def run_now(
    settings: ExporterSettings, store: Store, name: str, mode: Mode, full: bool = False
) -> dict[str, Any]:
    """Run the workflow `name` once; its summary, as `ledger.list_runs` has it.

    Raises WorkflowError where it cannot be run as it is configured, Busy while it runs already.
    """
    return await run_planned(settings, store, find_workflow(settings, name), Plan(mode, full), asyncio.Event())


async def run_planned(
    settings: ExporterSettings, store: Store, workflow: Workflow, plan: Plan, stop: asyncio.Event
) -> dict[str, Any]:
    """As `run_now`; when `stop` is set the run ends after the batch in hand."""
    async with contextlib.AsyncExitStack() as stack:
        lease = await stack.enter_async_context(held(store, lease_name(workflow.id), wait=False))
        if lease is None:
            raise Busy(f"{workflow.name} is running already; see `trackway runs list`")
        if plan.mode == "live":
            # Two workflows may share a stream, each with a lease of its own.
            other = await stack.enter_async_context(held(store, f"stream:{workflow.stream}", wait=False))
            if other is None:
                raise Busy(
                    f"another workflow is sending to the stream {workflow.stream_tail}; see `trackway runs list`"
                )
        return await _Run(settings, store, lease, workflow, plan).run(stop)
    raise AssertionError("unreachable")


class _Run:
    """One run by the holder of the workflow's lease."""

    def __init__(self, settings: ExporterSettings, store: Store, lease: Lease, workflow: Workflow, plan: Plan) -> None:
        self._settings = settings
        self._lookup = Lookup(store, settings)
        self._workflow = workflow
        self._plan = plan
        self._record = RunRecord(store, lease, workflow, plan)

    async def run(self, stop: asyncio.Event) -> dict[str, Any]:
        last = await self._record.last()
        passing = _passing(self._workflow, self._plan, last, now_ms())
        scope: Scope = "sample" if passing is None else "full" if passing.full else "incremental"
        await self._record.begin(scope)
        about = {"workflow": self._workflow.name, "run": self._record.id, "mode": self._plan.mode}
        _log.debug("export_began", **about, scope=scope)
        try:
            end = self._no_draft_yet(last) or await self._work(passing, stop)
        except BaseException as error:
            stopped = isinstance(error, asyncio.CancelledError)
            state: State = "aborted" if stopped else "failed"
            told = "it was interrupted" if stopped else f"an error of ours ({type(error).__name__})"
            with contextlib.suppress(LeaseLost, SQLAlchemyError, OSError):
                await asyncio.shield(self._record.end(state, told, "Trackway", {}))
            raise
        await self._record.end(end.state, end.error, end.origin, end.checkpoint)
        tally = self._record.tally
        # A schedule of seconds finds nothing to send most of the time.
        tell = _log.info if tally.sent or end.state != "succeeded" else _log.debug
        tell("export_ended", **about, state=end.state, origin=end.origin, sent=tally.sent, accepted=tally.accepted)
        return await self._record.show()

    def _no_draft_yet(self, last: Checkpoint) -> _End | None:
        workflow = self._workflow
        if self._plan.mode == "draft" or not workflow.settings.require_draft or last.draft == workflow.fingerprint:
            return None
        todo = f"run `trackway run {workflow.name} --draft` first, or set `require_draft: false`"
        return _End("failed", f"the CDP has taken no draft with these columns yet; {todo}", "Trackway")

    async def _work(self, passing: Passing | None, stop: asyncio.Event) -> _End:
        workflow, record = self._workflow, self._record
        stream = self._stream(stop)
        sender = Sender(record, stream, workflow, None if passing is None else asdict(passing))
        source = self._source(now_ms(), stop)
        try:
            if passing is None:
                await self._send_sample(source, sender)
                sender.judge()
                return self._end({"draft": workflow.fingerprint} if record.tally.accepted else {})
            await self._send_all(source, sender, passing, stop)
            sender.judge()
            return self._end(self._through(passing, source))
        except StreamError as error:
            return _End("aborted" if error.origin == "Trackway" else "failed", str(error), error.origin)
        except SourceError as error:
            return _End("failed", str(error), "source")
        except TooManyRefused as error:
            return _End("failed", str(error), error.origin)
        finally:
            await stream.close()

    async def _send_all(self, source: Source, sender: Sender, passing: Passing, stop: asyncio.Event) -> None:
        maker = RowMaker(self._workflow, await sender.learn_columns())
        async with contextlib.aclosing(source.iterate(passing.since, passing.cursor)) as items:
            async for chunk in _chunks(items):
                await sender.look_up([key_of(item.key) for item in chunk])
                for item in chunk:
                    await self._take(item, sender, maker, passing)
                if stop.is_set():
                    raise StreamStopped("the process is stopping", "Trackway", Delivery())
        await sender.flush()

    async def _take(self, item: Item, sender: Sender, maker: RowMaker, passing: Passing) -> None:
        """Send an item, or count why not."""
        tally = self._record.tally
        tally.read += 1
        key = key_of(item.key)
        held = sender.holds(key)
        if item.withheld is not None:
            if held and self._workflow.settings.kind == "user" and self._workflow.settings.on_withdrawal == "blank":
                row = emptied(item.values, self._workflow.key_column)
                await sender.add(Prepared(key, _EMPTY, item.key, item.cursor, row))
            else:
                tally.suppressed += 1
            return
        made = self._made(item, maker)
        if made is None:
            return
        content = content_of(made)
        there = held is not None and (not self._workflow.repeatable or (held == content and not passing.full))
        if there:
            tally.unchanged += 1
        else:
            await sender.add(Prepared(key, content, item.key, item.cursor, made))

    def _made(self, item: Item, maker: RowMaker) -> Row | None:
        made = maker.make(item)
        if not isinstance(made, Fault):
            return made
        self._record.tally.invalid += 1
        self._record.refuse(Refusal(item.key, "check", made))
        return None

    async def _send_sample(self, source: Source, sender: Sender) -> None:
        """The rows with the most values of those looked at: the CDP makes a column mandatory only if none is empty."""
        maker = RowMaker(self._workflow, {})
        tally = self._record.tally
        size = self._workflow.settings.draft_rows
        found: dict[bytes, Prepared] = {}
        async with contextlib.aclosing(source.iterate(None, None)) as items:
            async for item in items:
                tally.read += 1
                if item.withheld is not None:
                    tally.suppressed += 1
                elif (row := self._made(item, maker)) is not None:
                    key = key_of(item.key)
                    found[key] = Prepared(key, content_of(row), item.key, item.cursor, row)
                if tally.read >= size * _LOOKED_AT:
                    break
        for prepared in heapq.nlargest(size, found.values(), key=lambda one: len(types_of(one.row))):
            await sender.add(prepared)
        await sender.flush()

    def _end(self, checkpoint: dict[str, Any]) -> _End:
        tally = self._record.tally
        if self._plan.mode == "draft" and not tally.sent:
            return _End("failed", "there was nothing to send", "source")
        return _End("partial" if tally.bad or tally.unknown else "succeeded", checkpoint=checkpoint)

    def _through(self, passing: Passing, source: Source) -> dict[str, Any]:
        """The checkpoint behind a pass that came to its end."""
        position = None if source.reached is None else {**asdict(passing), "full": False, "cursor": source.reached}
        done = {"live": passing.fingerprint, "high_water": passing.started, "position": position}
        return done | ({"full_at": passing.started} if passing.full else {})

    def _source(self, now: int, stop: asyncio.Event) -> Source:
        settings = self._workflow.settings
        of = settings.from_
        if of.kind == "profiles":
            return Profiles(self._lookup, of.traits, settings.consent, now)
        if of.kind == "events":
            return EventLog(self._settings, self._lookup, settings, stop=stop)
        return NdjsonFile(self._settings.folder / of.path, self._workflow.key_column, of.modified)

    def _stream(self, stop: asyncio.Event) -> Stream:
        workflow, account = self._workflow, self._workflow.account
        target = Target(
            workflow.url,
            workflow.settings.stream_id.get_secret_value(),
            draft=self._plan.mode == "draft",
            timeout=account.timeout,
            tries=account.tries,
            first_wait=account.first_wait,
            longest_wait=account.longest_wait,
            resend_unknown=workflow.repeatable or workflow.settings.unknown_outcome == "duplicate",
        )
        return Stream(target, workflow.settings.batch_rows, workflow.settings.batch_bytes, stop)


@dataclass(frozen=True, slots=True)
class Passing:
    """A pass over a source: the items changed since then, from the cursor on. Kept as the checkpoint's position."""

    since: int | None
    full: bool
    started: int
    fingerprint: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class _End:
    """How a run ended, and what of the checkpoint changes."""

    state: State
    error: str | None = None
    origin: Origin | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)


def _passing(workflow: Workflow, plan: Plan, last: Checkpoint, now: int) -> Passing | None:
    """Which pass a run is to make, or to go on with; None in a draft."""
    if plan.mode == "draft":
        return None
    settings, fingerprint, position = workflow.settings, workflow.fingerprint, last.position
    if not workflow.repeatable:
        cursor = None if plan.full or position is None else position["cursor"]
        return Passing(None, plan.full, now, fingerprint, cursor)
    if position is not None and not plan.full and settings.write_mode == "append":
        unfinished = Passing(**position)
        if unfinished.fingerprint == fingerprint:
            return unfinished
    due = last.full_at is None or now - last.full_at >= settings.full_days * DAY_MS
    if plan.full or due or settings.write_mode == "overwrite" or last.live != fingerprint or last.high_water is None:
        return Passing(None, True, now, fingerprint, None)
    return Passing(last.high_water - int(settings.overlap * 1000), False, now, fingerprint, None)


async def _chunks(items: AsyncIterator[Item]) -> AsyncIterator[list[Item]]:
    chunk: list[Item] = []
    async for item in items:
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
