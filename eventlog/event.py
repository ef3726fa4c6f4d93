"""The canonical event: what every protocol becomes and every reader of the topics sees.

snake_case, RFC 3339 UTC with milliseconds, money as decimal strings, integers as they came. Absent means
absent: no nulls and no empty strings, except `null` in `traits`, which deletes. Identity is `(source, id)`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required

from pydantic import ConfigDict, Field, OnErrorOmit, TypeAdapter, with_config
from typing_extensions import TypedDict

Kind = Literal["page", "track", "identify", "group", "alias", "screen"]
Channel = Literal["web", "server", "pixel", "app", "import"]
TimeSource = Literal["exact", "client", "corrected", "received"]

# Names with a meaning of their own; everything else is the sender's.
CANONICAL_NAMES: Final = (
    "pageview", "visit", "contentvisit", "basket", "buy", "return", "favorite", "search", "searchclick",
    "searchresult", "itemclick", "identify", "group", "alias", "consent", "reset", "screen",
)  # fmt: skip

# Limits of one event (design: settings of the collector may lower or raise the size).
MAX_EVENT_BYTES: Final = 256 * 1024
MAX_ID_CHARACTERS: Final = 256
MAX_NAME_CHARACTERS: Final = 512
MAX_DEPTH: Final = 64
# What a browser can count exactly.
MAX_SEQ: Final = 2**53 - 1

Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
Money = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
# A stranger's word: an absurd one is none, and never a reason to refuse the event.
Seq = OnErrorOmit[Annotated[int, Field(ge=0, le=MAX_SEQ)]]
Number = int | Annotated[float, Field(allow_inf_nan=False)]

_strict = with_config(ConfigDict(extra="forbid"))


@_strict
class Library(TypedDict, total=False):
    """The software that sent the event."""

    name: Text
    version: Text


@_strict
class Item(TypedDict, total=False):
    """One product of the event. `category_path` is `[[id, name], …]` from the top down."""

    product_id: Text
    name: Text
    category_path: list[tuple[Text, Text]]
    brand: Text
    price: Money
    quantity: Number
    subtotal: Money
    currency: Text
    master_id: Text
    in_stock: bool
    position: int


@_strict
class Order(TypedDict, total=False):
    """The order of a `buy` or `return`."""

    order_id: Text
    subtotal: Money
    revenue: Money
    value: Money
    total: Money
    tax: Money
    shipping: Money
    discount: Money
    coupon: Text
    currency: Text


@_strict
class Basket(TypedDict, total=False):
    """How `items` change the basket: they are the whole of it, are added, or are removed."""

    basket_id: Text
    change: Required[Literal["whole", "add", "remove"]]


@_strict
class Favorites(TypedDict):
    """How `items` change the favourites."""

    change: Literal["whole", "add", "remove"]


@_strict
class Content(TypedDict, total=False):
    """The article or page a `contentvisit` saw."""

    content_id: Text
    name: Text
    category_path: list[tuple[Text, Text]]


@_strict
class Search(TypedDict, total=False):
    """What was searched, how many results, in which list."""

    query: str
    results: int
    list: Text


@_strict
class Page(TypedDict, total=False):
    """The page an event happened on; `view_id` is one per page view."""

    url: Text
    path: Text
    title: Text
    referrer: Text
    view_id: Text


@_strict
class Campaign(TypedDict, total=False):
    """utm_* of the landing page; `click_id` as `gclid:…`."""

    source: Text
    medium: Text
    name: Text
    term: Text
    content: Text
    click_id: Text


@_strict
class Client(TypedDict, total=False):
    """Facts of the device and the request. `ip` is as the source's setting says, truncated by default; `bot` says why
    it is taken for one; `country` is a code by ISO 3166-1; `seq` counts a page load's
    events from 1."""

    ip: Text
    user_agent: Text
    browser: Text
    os: Text
    device: Text
    bot: Text
    locale: Text
    screen: Text
    timezone: Text
    country: Text
    seq: Seq


@_strict
class Consent(TypedDict, total=False):
    """What the person allowed when the event happened; absent purposes were not stated."""

    analytics: bool
    personalization: bool
    marketing_activation: bool
    third_party_sharing: bool
    gpc: bool
    dnt: bool
    text_version: Text
    method: Text


@_strict
class Event(TypedDict, total=False):
    """One event, as in the topic `trackway.events.v1`."""

    id: Required[Id]
    name: Required[Text]
    kind: Required[Kind]
    source: Required[Text]
    channel: Required[Channel]
    protocol: Required[Text]
    library: Library
    client_time: Text
    occurred_at: Required[Time]
    sent_at: Time
    received_at: Required[Time]
    time_source: Required[TimeSource]
    anonymous_id: Text
    user_id: Text
    previous_id: Text
    group_id: Text
    client_session_id: Text
    identifiers: dict[Text, Text]
    traits: dict[str, Any]
    traits_once: dict[str, Any]
    properties: dict[str, Any]
    items: list[Item]
    order: Order
    basket: Basket
    favorites: Favorites
    content: Content
    search: Search
    page: Page
    campaign: Campaign
    client: Client
    consent: Consent
    trace: Text


EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)
