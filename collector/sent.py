"""An event as its sender meant it, whatever the protocol: what a parser hands to intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from collector.meanings import Meaning
from eventlog.errors import Rejected
from eventlog.event import Consent, Event

AddressPolicy = Literal["keep", "truncate", "drop"]


class Choices(NamedTuple):
    """What the person chose, in other words than our purposes: the site's own `categories`, an IAB TCF v2 string. What
    they mean is the source's to say, so intake reads them."""

    categories: Mapping[str, bool]
    tcf: str | None = None


class OtherCookie(NamedTuple):
    """A cookie that a protocol keeps beside our own: set for `seconds` with ours, or with 0 left as it is; taken away
    with ours."""

    name: str
    value: str
    seconds: int


class Numbered(NamedTuple):
    """Which event of its page load it is, as our tracker states it: so that losses are seen."""

    view_id: str
    seq: int


@dataclass(slots=True)
class Sent:
    """One event. `event` has what the sender states, under the canonical names: `name`, `kind` and any of the ids,
    `traits`, `properties`, `page`, `campaign`, `library`, `client`, `consent`, and `channel` where it is neither
    a page's nor a server's; texts trimmed, nothing null or blank. Intake completes it in place; the objects in it may
    be shared with other events and are never written to.

    `path` is where it stands in the body (`batch[3]`), `client_time` as the sender wrote it. `choices` complete
    `event["consent"]`. `is_placeless`: where the person is, is not looked up.
    """

    path: str
    event: Event
    meaning: Meaning
    properties_path: str
    client_time: str | None = None
    exact_time: bool = False
    email: object = None
    server_side: bool = False
    choices: Choices | None = None
    is_placeless: bool = False


@dataclass(slots=True)
class Parsed:
    """A request: its messages, and the events read from them and those refused, in the order sent.

    `messages` are JSON values, kept of one that is refused; `list_name` is what their list is called in the body, None
    where the body is the one message. `sent_at` and `received_at` as the sender wrote them; `write_keys` are those that
    stand elsewhere than in a header, and the first that a source has counts. `path` is the URL's; `shared` what a batch
    states once for all of its events. `reply` is what `Family.answer` needs to know.

    `is_anonymous`: no cookie is read or set. `address`: no more than this is kept of the sender's. `fingerprint`
    (`Request.fingerprint`) of protocols whose events carry no ids: the same one within 2 s is the same events.
    `is_cookieless`: neither is a cookie, and the visitor is whoever has the same address and user agent on that day.
    `cookies`: what is kept in the browser beside our own cookie, whenever that is.
    `is_link`: a person followed a link or opened a mail, which may stand anywhere: on which page is not looked at.
    `is_trial`: the sender asks what would become of them; nothing is stored or counted.
    `gpc`, `dnt`: the body says so of a browser that sent no such header. `bot`: by its own word it is one, and why.
    `ack`: what the browser is to find in a cookie once this is durable, in case its page is gone by then. `known_as`:
    the visitor's id in another cookie, which counts where our own is missing.
    """

    protocol: str
    messages: list[Any]
    list_name: str | None = None
    events: list[Sent | Refused] = field(default_factory=list)
    sent_at: str | None = None
    received_at: str | None = None
    write_keys: tuple[str, ...] = ()
    path: str = ""
    shared: dict[str, Any] = field(default_factory=dict)
    reply: Any = None
    is_anonymous: bool = False
    address: AddressPolicy | None = None
    fingerprint: bytes = b""
    is_cookieless: bool = False
    cookies: tuple[OtherCookie, ...] = ()
    is_link: bool = False
    is_trial: bool = False
    gpc: bool = False
    dnt: bool = False
    bot: str = ""
    ack: str = ""
    known_as: str | None = None
    # Whether `shared` is short enough to be kept with each refused event; unknown until one is refused.
    is_shared_kept: bool | None = None


def without_blanks(values: dict[str, Any]) -> dict[str, Any]:
    """What is stated: absent means absent, so null and the empty text are none."""
    if None in values.values() or "" in values.values():
        return {name: value for name, value in values.items() if value is not None and value != ""}
    return values


@dataclass(slots=True)
class Refused:
    """An event that cannot be read. `consent` and `choices` are what can be read of its own statement, `name` its
    canonical name if it has one: who did not consent to an event has nothing kept of it. `numbered` as its context has
    it."""

    error: Rejected
    id: str | None
    name: str = ""
    consent: Consent | None = None
    choices: Choices | None = None
    numbered: Numbered | None = None
