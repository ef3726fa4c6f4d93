"""Law 2: what the collectors answered (C) against what log and spools hold (L). Pure.

C = L for every minute, source and status, but for what a collector that died, or had to refuse a request halfway, may
have stored without an answer. That C is more than L is never right: something answered is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from eventlog.account import Death, Key, Told
from eventlog.timestamps import MINUTE_MS

_NOTHING: Final[Counter[Key]] = Counter()


class Fault(NamedTuple):
    """Where law 2 does not hold: the collector's name, and how many more than answered could be explained."""

    key: Key
    collector: str
    answered: int
    held: int
    allowed: int


@dataclass(slots=True)
class Span:
    """Minutes in [start, end) (ms), of one source or of all. Records of the sources in `stated` say themselves when
    they were received, so that they may be of any minute."""

    start: int
    end: int
    source: str | None = None
    stated: frozenset[str] = frozenset()

    def has(self, key: Key) -> bool:
        """Whether a count belongs to it."""
        return self.start <= key[0] < self.end and self.source in (None, key[1])


@dataclass(slots=True)
class Answers:
    """Law 2 with what it was taken from, summed over the collectors. `until` (ms): what is newer is in motion, so it
    may be stored and not told of yet. `unheard`: records of collectors whose account is not here, or ends
    before."""

    answered: Counter[Key] = field(default_factory=Counter)
    held: Counter[Key] = field(default_factory=Counter)
    until: int = 0
    collectors: int = 0
    deaths: list[Death] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # Stored and, as far as collectors tell, not answered, in minutes that are not in motion.
    unanswered: int = 0
    unheard: dict[str, Counter[Key]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether law 2 holds for the collectors whose account is here."""
        return not self.faults


def compare(told: Sequence[Told], held: Mapping[str, Counter[Key]], span: Span) -> Answers:
    """Law 2 in a span. `held`: what log and spools hold of each collector, read after the accounts were."""
    heard = {one.name: one for one in told}
    settled = min((one.settled for one in heard.values()), default=span.end)
    answers = Answers(until=min(span.end, settled // MINUTE_MS * MINUTE_MS), collectors=len(heard))
    for name, one in sorted(heard.items()):
        counts = held.get(name, _NOTHING)
        if is_old(one, counts):
            one = _until(one, one.sure)
            later = Counter({key: n for key, n in counts.items() if key[0] > one.end and span.has(key)})
            counts = Counter({key: n for key, n in counts.items() if key[0] <= one.end})
            if later:
                answers.unheard[name] = later
        _compare_one(answers, one, counts, span)
    for name, counts in sorted(held.items()):
        if name not in heard and (mine := {key: n for key, n in counts.items() if span.has(key)}):
            answers.unheard[name] = Counter(mine)
    return answers


def excess_of(told: Sequence[Told], held: Mapping[str, Counter[Key]], span: Span) -> dict[str, set[Key]]:
    """Of each collector the counts of which more is held than was answered."""
    found = {
        one.name: {
            key
            for key, n in held.get(one.name, _NOTHING).items()
            if span.has(key) and n > one.answered[key] and not is_old(one, held[one.name])
        }
        for one in told
    }
    return {name: keys for name, keys in found.items() if keys}


def _compare_one(answers: Answers, told: Told, held: Counter[Key], span: Span) -> None:
    deaths = told.deaths
    answers.deaths += [death for death in deaths if death.last >= span.start and death.first < span.end]
    for (minute, reason), n in told.refused.items():
        if span.start <= minute < span.end:
            answers.refused[reason] += n
    unexplained: list[tuple[Key, int]] = []
    for key in sorted(told.answered.keys() | held.keys()):
        if not span.has(key):
            continue
        given, kept = told.answered[key], held[key]
        answers.answered[key] += given
        answers.held[key] += kept
        if kept < given:
            answers.faults.append(Fault(key, told.name, given, kept, 0))
        elif key[0] < answers.until:
            answers.unanswered += kept - given
            allowed = told.failed[key] + sum(death.most for death in _possible(deaths, key, span.stated))
            if key[1] in span.stated:
                allowed += told.most
            if kept - given > allowed:
                answers.faults.append(Fault(key, told.name, given, kept, allowed))
            elif kept - given > told.failed[key]:
                unexplained.append((key, kept - given - told.failed[key]))
    # Each death explains some events once, not anew in every minute.
    most = sum(death.most for death in deaths) + told.most
    for key, n in unexplained:
        if n > most:
            answers.faults.append(Fault(key, told.name, told.answered[key], held[key], told.failed[key] + most))
        most = max(0, most - n)


def is_old(told: Told, held: Counter[Key]) -> bool:
    """Whether the collector stored something after its account ends: there must be a newer one."""
    return not told.moving and any(minute > told.end for minute, _, _ in held)


def _until(told: Told, last: int) -> Told:
    """The account as far as that minute (ms)."""
    counts = (
        Counter({key: n for key, n in counts.items() if key[0] <= last}) for counts in (told.answered, told.failed)
    )
    answered, failed = counts
    deaths = [death for death in told.deaths if death.last <= last]
    return replace(told, answered=answered, failed=failed, deaths=deaths, end=last)


def _possible(deaths: Sequence[Death], key: Key, stated: Collection[str]) -> list[Death]:
    return [death for death in deaths if death.first <= key[0] <= death.last or key[1] in stated]
