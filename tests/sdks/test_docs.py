"""What the protocols' pages show for servers works as it stands there."""

from __future__ import annotations

import pytest

from tests.sdks.conftest import Collector
from tests.sdks.shown import run_shown, shown
from tests.sdks.visit import only

pytestmark = pytest.mark.sdks
BLOCKS = [
    ("segment", "python"),
    ("segment", "js"),
    ("rudderstack", "python"),
    ("rudderstack", "js"),
    ("jitsu", "js"),
    ("snowplow", "python"),
    ("snowplow", "js\nimport { build"),
    ("posthog", "python"),
    ("posthog", "js\nimport { PostHog"),
    ("mixpanel", "python"),
    ("mixpanel", "js\nimport "),
    ("ga4", "python"),
    ("cloudevents", "python"),
    ("cloudevents", "js"),
    ("umami", "js"),
]


@pytest.mark.parametrize(("vendor", "begins"), BLOCKS, ids=[f"{vendor}-{begins[:2]}" for vendor, begins in BLOCKS])
def test_what_the_docs_show_works(vendor: str, begins: str, collector: Collector) -> None:
    collector.new()
    run_shown(shown(f"{vendor}.md", begins, collector), begins.partition("\n")[0], vendor)
    event = only(collector.new(1), "visit")
    assert event.get("user_id") == (None if vendor in ("ga4", "umami") else "4711")
    assert event["items"][0]["price"] == "89.9"
