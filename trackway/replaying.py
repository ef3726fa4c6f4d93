"""Refused events once more: read from the rejected topic, repaired, taken in as if they had been right, and put where
the aggregator sends them to the log. A dry run does all of it but the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from collector.repair import CannotRepair, Rule, repair
from collector.replay import Again, NotKept, Replay, kept_event
from eventlog.outcome import cause_path
from exporter.console.mask import mask_body, mask_within
from exporter.lease import Lease
from exporter.rejected import Found
from exporter.replays import Identity, Made, identity_of, known_of, replay, replayed_of
from exporter.store import Store
from trackway.settings import Settings

# replayed: it becomes an event (in a dry run: would). already: it is one, or is on its way. untouched: no rule means
# it. refused: the intake refuses it still. filtered: the intake would keep nothing of it. unrepairable: a rule that
# means it cannot be applied. not_kept: there is nothing to replay.
Fate = Literal["replayed", "already", "untouched", "refused", "filtered", "unrepairable", "not_kept"]
FATES: Final[tuple[Fate, ...]] = (
    "replayed", "already", "untouched", "refused", "filtered", "unrepairable", "not_kept",
)  # fmt: skip

_SAMPLES: Final = 3
# Of the ways to be refused that a cause still has, so many are told apart.
_WHYS: Final = 20


@dataclass
class Account:
    """What became of the records of one cause. `why` says why some did not become events, and of how many; `samples`
    are a few that did, masked: each with its record, id and changes (pointer, before, after)."""

    cause: str
    status: str
    reason: str
    source: str
    path: str
    fates: Counter[Fate] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in ("cause", "status", "reason", "source", "path")}
        told |= {"count": self.fates.total()} | {fate: self.fates[fate] for fate in FATES}
        return told | {"why": dict(self.why.most_common()), "samples": self.samples}


@dataclass
class _Candidate:
    found: Found
    again: Again
    identity: Identity
    changes: list[dict[str, Any]]


class Replaying:
    """One run over some records; with `rules` they are repaired first, with `lease` (of `replays.REPLAYS`) the events
    are sent, without it this is a dry run."""

    def __init__(
        self, settings: Settings, store: Store, rules: Sequence[Rule] | None = None, lease: Lease | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._lease = lease
        self._replay = Replay(settings)
        self._met: set[Identity] = set()
        self.accounts: dict[str, Account] = {}

    async def run(self, records: AsyncIterator[list[Found]]) -> None:
        """Work through the records; `accounts` holds what became of them. Raises Unavailable, LeaseLost."""
        async for some in records:
            replayed = await replayed_of(self._store, [one.place for one in some])
            for one in some:
                if one.place in replayed:
                    self._note(one, "already", "it was replayed before")
            left = [one for one in some if one.place not in replayed]
            candidates = [one for one in map(self._candidate, left) if one is not None]
            if candidates:
                await self._settle(candidates)

    def total(self, *fates: Fate) -> int:
        """How many records had one of these fates."""
        return sum(account.fates[fate] for account in self.accounts.values() for fate in fates)

    def _candidate(self, found: Found) -> _Candidate | None:
        """The record as it would be replayed; None, with its fate noted, where it will not be."""
        changes: list[dict[str, Any]] = []
        try:
            event = kept_event(found.outcome)
            if self._rules is not None:
                before, (event, applied) = event, repair(event, found.outcome, self._rules)
                if not applied:
                    self._note(found, "untouched")
                    return None
                changes = changed(before, event)
        except NotKept as error:
            self._note(found, "not_kept", str(error))
            return None
        except CannotRepair as error:
            self._note(found, "unrepairable", str(error))
            return None
        again = self._replay.again(event, found.outcome, found.position)
        if again.record is None:
            where = f" at {cause_path(again.path)}" if cause_path(again.path) else ""
            told = f": {again.message}" if again.message else ""
            fate: Fate = "filtered" if again.status == "filtered" else "refused"
            self._note(found, fate, f"{again.reason}{where}{told}")
            return None
        return _Candidate(found, again, identity_of(found.outcome.get("source", ""), again.id), changes)

    async def _settle(self, candidates: list[_Candidate]) -> None:
        known = await known_of(
            self._store, [one.found.place for one in candidates], [one.identity for one in candidates]
        )
        new: list[_Candidate] = []
        for one in candidates:
            if one.identity in known.accepted:
                self._note(one.found, "already", "an event of this id was accepted")
            elif one.identity in known.replayed or one.identity in self._met:
                self._note(one.found, "already", "another record of its id is replayed")
            else:
                new.append(one)
                self._met.add(one.identity)
        if self._lease is not None and new:
            made = [Made(one.found.place, one.identity, one.again.record) for one in new if one.again.record]
            sent = {one.place for one in await replay(self._store, self._lease, made)}
            for one in new:
                if one.found.place not in sent:
                    self._note(one.found, "already", "an event of this id was accepted")
            new = [one for one in new if one.found.place in sent]
        for one in new:
            self._note(one.found, "replayed")
            self._show(one)

    def _note(self, found: Found, fate: Fate, why: str = "") -> None:
        account = self._account(found)
        account.fates[fate] += 1
        if why:
            why = f"{fate}: {mask_within(why)}"
            account.why[why if why in account.why or len(account.why) < _WHYS else f"{fate}: otherwise"] += 1

    def _show(self, one: _Candidate) -> None:
        samples = self._account(one.found).samples
        if len(samples) < _SAMPLES:
            samples.append({"record": one.found.position, "id": one.again.id, "changes": one.changes})

    def _account(self, found: Found) -> Account:
        if found.cause not in self.accounts:
            told = found.outcome
            self.accounts[found.cause] = Account(
                found.cause, told["status"], told["reason"], told.get("source", ""), found.path
            )
        return self.accounts[found.cause]


def changed(before: Any, after: Any) -> list[dict[str, Any]]:
    """What a repair changed, masked: a pointer each, with the value before and after where there was one."""
    old, new = _plain(before), _plain(after)
    # What is personal follows from the names around a value, so the whole is masked, not the value.
    found: list[dict[str, Any]] = []
    _compare(_Pair(old, new), _Pair(mask_body(old), mask_body(new)), "", found)
    return found


@dataclass(frozen=True)
class _Pair:
    old: Any
    new: Any


_NOTHING: Final = object()


def _compare(bare: _Pair, masked: _Pair, pointer: str, found: list[dict[str, Any]]) -> None:
    if type(bare.old) is type(bare.new) and bare.old == bare.new:
        return
    parts = _parts(bare.old), _parts(bare.new), _parts(masked.old), _parts(masked.new)
    old, new, shown_old, shown_new = parts
    # Names may be masked too, but their order is the same; two that are masked alike leave fewer.
    alike = len(old) == len(shown_old) and len(new) == len(shown_new) and type(bare.old) is type(bare.new)
    if not alike or not old.keys() & new.keys() or (isinstance(bare.old, list) and len(old) != len(new)):
        change = {"at": pointer or "/"}
        if bare.old is not _NOTHING:
            change["before"] = masked.old
        if bare.new is not _NOTHING:
            change["after"] = masked.new
        found.append(change)
        return
    shown_old, shown_new = (
        dict(zip(old, shown_old.values(), strict=True)),
        dict(zip(new, shown_new.values(), strict=True)),
    )
    for name in {**old, **new}:
        inner = f"{pointer}/{mask_within(name).replace('~', '~0').replace('/', '~1')}"
        now = _Pair(old.get(name, _NOTHING), new.get(name, _NOTHING))
        _compare(now, _Pair(shown_old.get(name), shown_new.get(name)), inner, found)


def _parts(value: Any) -> dict[str, Any]:
    """The members of an object, the entries of a list by their number."""
    if isinstance(value, dict):
        return value
    return {str(at): one for at, one in enumerate(value)} if isinstance(value, list) else {}


def _plain(value: Any) -> Any:
    """As JSON has it; what it does not have by its name."""
    return orjson.loads(orjson.dumps(value, default=lambda _: "NaN"))
