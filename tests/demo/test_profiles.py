"""Each form of the shop on a whole installation, from a click in a real browser to the customer's profile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browsers import Launched
from tests.demo.serving import RAPTOR
from tests.demo.walk import AGENT, IBEXA, NOT_DRIVEN, PLAIN, SINGLE_PAGE, Walk, walk_through
from tests.end_to_end.installation import Installation, embedded, eventually

pytestmark = [pytest.mark.browser, pytest.mark.browsers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, launched: Launched) -> Browser:
    return launched.browser(request.param, f"--user-agent={AGENT}")


def test_each_form_ends_in_one_profile_with_the_purchase(browser: Browser, tmp_path: Path) -> None:
    with embedded(tmp_path, more=RAPTOR) as installation:
        for form in (PLAIN, SINGLE_PAGE, IBEXA):
            context = browser.new_context()
            context.add_init_script(NOT_DRIVEN)
            walk = walk_through(context.new_page(), installation.shop, form)
            context.close()
            check_profile(installation, walk)
        done = installation.ledger()
        assert done.returncode == 0, done.stdout + done.stderr


def check_profile(installation: Installation, walk: Walk) -> None:
    """The customer's profile has all of the visit, also what came before the sign-in, and the order once."""
    # What follows a reset is somebody else's.
    end = walk.events.index("reset") + 1 if "reset" in walk.events else len(walk.events)
    names = dict(sorted(Counter(walk.events[:end]).items()))

    def whole() -> Any:
        found = installation.profile_of("user", walk.user_id)
        return found if found and found["counts"]["names"] == names else None

    profile = eventually(whole, f"the profile of {walk.name} to have {names}")
    assert profile["root"] == {"kind": "user", "value": walk.user_id}
    assert profile["identifiers"] == {"user": [walk.user_id], "email": [walk.email], "anon": [walk.visitor]}
    assert (profile["counts"]["orders"], profile["money"]["EUR"]["revenue"]) == (1, walk.revenue)
    for kind, value in (("email", walk.email), ("anon", walk.visitor)):
        assert installation.profile_of(kind, value)["id"] == profile["id"]
