"""Random sets of events: few identifiers, a small grid of times, so that everything meets."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from eventlog.event import Event
from tests.rules.events import DAY, MINUTE, RULES, buy, event

ANON = ("a1", "a2", "a3")
USERS = ("u1", "u2", "u3")
EMAILS = ("e1@x.no", "e2@x.no")
BLOCKED = ("null", "'undefined'", "00000000-0000-0000-0000-000000000000")

_DAYS = (0, 0, 0, 1, 29, 30, 31)
_OFFSETS = (0, 1, 10_000, 10_001, 29 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 31 * MINUTE, 45 * MINUTE, 60 * MINUTE)
_NAMES = ("pageview", "pageview", "visit", "screen", "identify", "identify", "reset", "alias", "buy", "return")
_CHANNELS = ("web", "web", "web", "app", "server", "import", "pixel")

times = st.builds(lambda day, offset: day * DAY + offset, st.sampled_from(_DAYS), st.sampled_from(_OFFSETS))
_anon = st.sampled_from((None, *ANON, *ANON, BLOCKED[0]))
_user = st.sampled_from((None,) * 6 + USERS + BLOCKED[1:2])
_email = st.sampled_from((None,) * 6 + EMAILS + BLOCKED[:1])
_ruid = st.sampled_from((None,) * 12 + ("r1", BLOCKED[2]))

# One e-mail a user, and three browser events a minute, are what random sets can exceed.
all_rules = st.sampled_from(
    (RULES, RULES.model_copy(update={"emails_per_user": 1}), RULES.model_copy(update={"bot_events_per_minute": 2}))
)


@st.composite
def one_event(draw: st.DrawFn, at: st.SearchStrategy[int] = times) -> Event:
    name = draw(st.sampled_from(_NAMES))
    fields: dict[str, Any] = {
        "anon": draw(_anon),
        "user": draw(_user),
        "email": draw(_email),
        "ruid": draw(_ruid),
        "channel": draw(st.sampled_from(_CHANNELS)),
        "source": draw(st.sampled_from(("shop", "shop", "crm"))),
        "seq": draw(st.sampled_from((None, 1, 2))),
        "late": draw(st.integers(0, 9)) == 0,
        "bot": "GPTBot" if draw(st.integers(0, 9)) == 0 else None,
        "url": draw(st.sampled_from((None, "https://x.no/", "https://x.no/a"))),
        "view_id": draw(st.sampled_from((None, None, "p1.1", "p1.2", "p2.1"))),
    }
    if name == "alias":
        fields["previous"] = draw(st.sampled_from((*ANON, "u1", "null")))
    if name == "identify":
        fields["traits"] = draw(st.dictionaries(st.sampled_from("kl"), st.sampled_from((None, 1, "x")), min_size=1))
    time = draw(at)
    if name in ("buy", "return"):
        products = draw(st.lists(st.sampled_from((("p1", "1.005"), ("p2", "20"))), min_size=1, max_size=3))
        return buy(time, draw(st.sampled_from((None, "o1", "o2"))), *products, name=name, **fields)
    return event(time, name, **fields)


@st.composite
def dense_chain(draw: st.DrawFn) -> list[Event]:
    """One visitor for longer than a session may last, without a gap, with a few logins, resets and latecomers."""
    at, events = 0, []
    gaps = draw(st.sampled_from(((15 * MINUTE, 20 * MINUTE), (0, 29 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE))))
    for _ in range(draw(st.integers(26, 50))):
        at += draw(st.sampled_from(gaps))
        kind = draw(st.integers(0, 19))
        name = "reset" if kind == 0 else "pageview"
        user = "u1" if kind == 1 else "u2" if kind == 2 else None
        events.append(event(at, name, anon="a1", user=user, late=kind == 3))
    return events


events = st.lists(one_event(), min_size=1, max_size=14)


@st.composite
def one_browser(draw: st.DrawFn) -> list[Event]:
    """Logins, logouts and aliases from elsewhere, all about one anonymous id."""
    kinds = st.sampled_from(("pageview", "pageview", "login", "logout", "alias", "email", "server logout"))
    made = []
    for kind in draw(st.lists(kinds, min_size=2, max_size=10)):
        at, user = draw(times), draw(st.sampled_from(USERS))
        if kind == "alias":
            made.append(event(at, "alias", user=user, previous="a1", channel="server"))
        elif kind == "login":
            made.append(event(at, "identify", user=user, anon="a1"))
        elif kind == "email":
            made.append(event(at, email=EMAILS[0], anon="a1"))
        elif kind == "server logout":
            made.append(event(at, "reset", anon="a1", channel="server", source="crm"))
        else:
            made.append(event(at, "reset" if kind == "logout" else kind, anon="a1"))
    return made
