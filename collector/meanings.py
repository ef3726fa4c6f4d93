"""What the senders' names of events mean: one table a dialect. What is not in it keeps the sender's own name. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Change = Literal["whole", "add", "remove"]


class Meaning(NamedTuple):
    """A canonical name; `change` for what alters the basket or the favourites."""

    name: str
    change: Change | None = None


# Names in lower case. The canonical ones stand for themselves.
_OURS: Final[dict[str, Meaning]] = {
    "basket": Meaning("basket", "whole"),
    "favorite": Meaning("favorite", "whole"),
} | {
    name: Meaning(name)
    for name in (
        "visit", "contentvisit", "buy", "return", "search", "searchclick", "searchresult", "itemclick", "consent",
        "reset",
    )
}  # fmt: skip

# RudderStack, Jitsu, PostHog and Mixpanel use Segment's names too.
SEGMENT: Final[dict[str, Meaning]] = _OURS | {
    "product viewed": Meaning("visit"),
    "cart viewed": Meaning("basket", "whole"),
    "product added": Meaning("basket", "add"),
    "product removed": Meaning("basket", "remove"),
    "order completed": Meaning("buy"),
    "order refunded": Meaning("return"),
    "products searched": Meaning("search"),
    "product clicked": Meaning("itemclick"),
    "product added to wishlist": Meaning("favorite", "add"),
    "product removed from wishlist": Meaning("favorite", "remove"),
    "signed out": Meaning("reset"),
    "logged out": Meaning("reset"),
    "logout": Meaning("reset"),
    "segment consent preference updated": Meaning("consent"),
}

# PostHog's own names, beside Segment's.
POSTHOG: Final[dict[str, Meaning]] = SEGMENT | {
    "$pageview": Meaning("pageview"),
    "$screen": Meaning("screen"),
    "$identify": Meaning("identify"),
    "$set": Meaning("identify"),
    "$set_once": Meaning("identify"),
    "$unset": Meaning("identify"),
    "$create_alias": Meaning("alias"),
    "$merge_dangerously": Meaning("alias"),
    "$groupidentify": Meaning("group"),
    "$reset": Meaning("reset"),
}

# Mixpanel's pages, beside Segment's names.
MIXPANEL: Final[dict[str, Meaning]] = SEGMENT | {
    "$mp_web_page_view": Meaning("pageview"),
    "$pageview": Meaning("pageview"),
    "mp_page_view": Meaning("pageview"),
}

# `login` and `sign_up` are `identify` only with a user id, and `select_item` is a `searchclick` in a list of results.
GA4: Final[dict[str, Meaning]] = _OURS | {
    "page_view": Meaning("pageview"),
    "screen_view": Meaning("screen"),
    "view_item": Meaning("visit"),
    "view_cart": Meaning("basket", "whole"),
    "add_to_cart": Meaning("basket", "add"),
    "remove_from_cart": Meaning("basket", "remove"),
    "purchase": Meaning("buy"),
    "refund": Meaning("return"),
    "view_search_results": Meaning("search"),
    "select_item": Meaning("itemclick"),
    "add_to_wishlist": Meaning("favorite", "add"),
    "view_content": Meaning("contentvisit"),
    "login": Meaning("identify"),
    "sign_up": Meaning("identify"),
    "logout": Meaning("reset"),
}

# The `type` of Snowplow's e-commerce action, and the names of its other schemas.
SNOWPLOW: Final[dict[str, Meaning]] = _OURS | {
    "product_view": Meaning("visit"),
    "add_to_cart": Meaning("basket", "add"),
    "remove_from_cart": Meaning("basket", "remove"),
    "transaction": Meaning("buy"),
    "refund": Meaning("return"),
    "site_search": Meaning("search"),
    "list_click": Meaning("itemclick"),
}

# Raptor's names are ours. A `buy` with a negative line is a `return`.
RAPTOR: Final[dict[str, Meaning]] = _OURS | {
    "pageview": Meaning("pageview"),
    "setuser": Meaning("identify"),
    "setruid": Meaning("identify"),
    "setemailmarketingid": Meaning("identify"),
}

# Of Plausible and Umami, whose users name their goals themselves: Segment's names, and what both call a purchase.
GOALS: Final[dict[str, Meaning]] = SEGMENT | {"pageview": Meaning("pageview"), "purchase": Meaning("buy")}

# Every dialect under the vendors' names, for the docs.
DIALECTS: Final[dict[str, dict[str, Meaning]]] = {
    "Segment, RudderStack, Jitsu": SEGMENT,
    "PostHog": POSTHOG,
    "Mixpanel": MIXPANEL,
    "GA4": GA4,
    "Snowplow": SNOWPLOW,
    "Raptor": RAPTOR,
    "Plausible, Umami": GOALS,
}
