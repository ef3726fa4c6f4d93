"""The sites the console's tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.timestamps import now_ms
from tests.console.seeds import event, outcome
from tests.console.site import Site, running_site

HTML = "<img src=x onerror=document.title='owned'>"
CANARY = "canary.person@mail.example"


def poisoned_event(at: int) -> dict[str, object]:
    """An event with markup and an e-mail address in every field a sender decides."""
    both = f"{HTML} {CANARY}"
    return event(
        at,
        id=f"id {HTML}",
        name=both,
        kind="track",
        library={"name": both, "version": both},
        anonymous_id=both,
        user_id=CANARY,
        group_id=both,
        client_session_id=both,
        identifiers={"email": CANARY, "ruid": both},
        traits={"email": CANARY, HTML: both, "list": [both]},
        traits_once={"first": both},
        properties={HTML: both, CANARY: 1, "deep": {"list": [both, {"x": both}]}},
        items=[{"product_id": both, "name": both, "category_path": [[both, both]], "brand": both, "price": "1.00"}],
        content={"content_id": both, "name": both},
        search={"query": both},
        page={"url": f"https://shop.example/?e={CANARY}&x={HTML}", "path": both, "title": both, "referrer": both},
        campaign={"source": both, "medium": both, "name": both, "click_id": both},
        client={"ip": "192.0.2.0", "user_agent": both, "browser": both, "os": both, "device": both, "locale": both},
        consent={"analytics": True, "text_version": both, "method": both},
    )


def poisoned_outcome(at: int) -> dict[str, object]:
    both = f"{HTML} {CANARY}"
    return outcome(
        at, "rejected", "wrong_type", id=both, path=both, message=both, protocol=both, origin=both,
        prefix='{"userId":"canary.person@mail.example","x":"<img src=x onerror=1>","email":"canary.pers',
    )  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a customer who bought, some visitors, something of each status, poisoned records, and two runs of an
    export: a draft that went through and a live one of which the CDP refused a row."""
    at = now_ms() - 120_000
    bodies: list[dict[str, object]] = []
    for n in range(8):
        visitor = f"visitor-{n}-0f4a2f9d2a10"
        bodies += [event(at + n * 1000 + k, anonymous_id=visitor, client={"seq": k}) for k in range(3)]
    buyer: dict[str, object] = {"anonymous_id": "visitor-0-0f4a2f9d2a10", "user_id": "customer-4711"}
    buyer["consent"] = {"analytics": True, "third_party_sharing": True}
    order = {"order_id": "A-1001", "total": "94.85", "currency": "EUR"}
    items = [{"product_id": "SKU-1", "price": "89.90", "quantity": 1, "currency": "EUR"}]
    bodies.append(event(at + 9000, id="the-order", name="buy", kind="track", order=order, items=items, **buyer))
    bodies.append(event(at + 9100, name="identify", kind="identify", traits={"email": CANARY, "age": 41}, **buyer))
    bodies.append(outcome(at + 9200, "rejected", "wrong_type", id="bad-1", path="batch[0].price", message="a number"))
    bodies.append(outcome(at + 9300, "filtered", "bot", id="bot-1"))
    bodies.append(outcome(at + 9400, "duplicate", "duplicate", id="event-1"))
    bodies += [poisoned_event(at + 10_000), poisoned_outcome(at + 10_100)]
    with running_site(tmp_path_factory.mktemp("site"), bodies) as running:
        assert running.export("people", "draft")["state"] == "succeeded"
        running.refuse_at_the_cdp("customer-4711")
        assert running.export("people", "live")["state"] == "failed"
        yield running


@pytest.fixture
def empty_site(tmp_path: Path) -> Iterator[Site]:
    """A site nobody has sent anything to."""
    with running_site(tmp_path) as running:
        yield running
