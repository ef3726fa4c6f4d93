"""The main job from a click to the CDP's row: a real browser on a real page, through all services, in both modes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browsers import launch
from tests.demo.walk import AGENT, NOT_DRIVEN, Walk, walk_through
from tests.end_to_end.installation import Installation, eventually
from tests.trackway.processes import stored

pytestmark = pytest.mark.browser


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = launch(playwright, "chromium", f"--user-agent={AGENT}")
        page = browser.new_page()
        page.add_init_script(NOT_DRIVEN)
        yield page
        browser.close()


def test_a_visit_to_the_shop_ends_in_profile_sessions_and_rows_at_the_cdp(
    installation: Installation, page: Page
) -> None:
    walk = walk_through(page, installation.shop)

    def known() -> Any:
        found = installation.profile_of("user", walk.user_id)
        # Its last event is the sign-out.
        return found if found and found["counts"]["names"].get("reset") else None

    profile = eventually(known, "the customer's profile")
    check_profile(profile, walk)
    check_sessions(installation, profile, walk)
    check_rows(installation, walk)
    done = installation.ledger()
    assert done.returncode == 0, done.stdout + done.stderr
    check_way_of_the_order(installation, profile, walk)


def check_profile(profile: dict[str, Any], walk: Walk) -> None:
    """Everything before the sign-out is the customer's, also what came before the sign-in."""
    assert profile["root"] == {"kind": "user", "value": walk.user_id}
    assert profile["identifiers"] == {"user": [walk.user_id], "email": [walk.email], "anon": [walk.visitor]}
    assert profile["traits"]["name"] == walk.name
    names = Counter(walk.events[: walk.events.index("reset") + 1])
    assert profile["counts"]["names"] == dict(sorted(names.items()))
    assert (profile["counts"]["orders"], profile["money"]["EUR"]["revenue"]) == (1, walk.revenue)


def check_sessions(installation: Installation, profile: dict[str, Any], walk: Walk) -> None:
    (session,) = installation.api(f"/api/v1/profiles/{profile['id']}/sessions")["sessions"]
    assert (session["state"], session["orders"], session["revenue"]) == ("open", 1, {"EUR": walk.revenue})
    assert sum(session["counts"].values()) == profile["counts"]["events"]
    # Whoever came after the sign-out is somebody else.
    after = eventually(lambda: installation.profile_of("anon", walk.next_visitor), "the next visitor's profile")
    assert after["root"]["kind"] == "anon"
    assert after["counts"]["names"] == {"pageview": 1}


def check_rows(installation: Installation, walk: Walk) -> None:
    """User, articles, products and interactions arrive; nothing that was done twice."""

    def person() -> Any:
        return [row for row in installation.rows("people-0001") if row["id"] == walk.user_id]

    people = eventually(person, "the customer's row at the CDP")
    assert people[-1]["email"] == walk.email
    eventually(lambda: len(installation.rows("articles-0002")) == 3, "the articles' rows")
    eventually(lambda: len(installation.rows("products-0003")) == 12, "the products' rows")
    article = next(row for row in installation.rows("articles-0002") if row["id"] == 501)
    assert article["field_title_value"] == "Four minutes of patience"

    def interactions() -> Any:
        # The page behind the sign-out is the last event.
        rows = installation.rows("interactions-0004")
        return rows if Counter(row["event_type"] for row in rows)["pageview"] == walk.events.count("pageview") else None

    rows = eventually(interactions, "the interactions' rows")
    of_order = [row for row in rows if row["event_type"] == "buy"]
    assert [(row["order_id"], row["product_id"], row["subtotal"]) for row in of_order] == [
        (walk.order_id, item["product_id"], item["subtotal"]) for item in walk.items
    ]
    assert len({(row["event_id"], row.get("line")) for row in rows}) == len(rows)


def check_way_of_the_order(installation: Installation, profile: dict[str, Any], walk: Walk) -> None:
    """The purchase can be followed from its id to its profile and to what the CDP said of its rows."""
    (buy,) = [event for event in stored(installation.config) if event["name"] == "buy"]
    told = installation.api(f"/api/v1/events/{buy['id']}")["traces"]
    accepted = [trace for trace in told if trace["status"] == "accepted"]
    assert [(one["profile_id"], one["offset"]) for one in accepted] == [(profile["id"], buy["offset"])]
    rows = {export["workflow"]: [row["answer"] for row in export["rows"]] for export in accepted[0]["exports"]}
    assert rows == {"interactions": ["accepted"] * len(walk.items), "people": ["accepted"]}
