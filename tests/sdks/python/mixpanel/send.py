"""Sends a visit, or so many events, by mixpanel-python; prints what the SDK says of it.

stdin: {"url", "key", "buffered", "verify", "count", …}; stdout: {"sent": number of calls, "failures": [text]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException

OF_2020 = 1_600_000_000


def main() -> None:
    given = json.load(sys.stdin)
    url, key = given["url"], given["key"]
    kind = BufferedConsumer if given.get("buffered") else Consumer
    consumer = kind(
        events_url=f"{url}/track", people_url=f"{url}/engage", groups_url=f"{url}/groups", import_url=f"{url}/import",
        retry_backoff_factor=0.02, verify_cert=given.get("verify", True),
    )  # fmt: skip
    mixpanel = Mixpanel(key, consumer=consumer)
    calls = many(mixpanel, given) if given.get("count") else visit(mixpanel, given)
    failures: list[str] = []
    for call, arguments, more in calls:
        try:
            call(*arguments, **more)
        except MixpanelException as error:
            failures.append(str(error))
    if given.get("buffered"):
        consumer.flush()
    print(json.dumps({"sent": len(calls), "failures": failures}))


def visit(mixpanel: Any, given: dict[str, Any]) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    user, key = given["user"], given["key"]
    company = ("company", given["group"])
    old = {"api_key": None, "timestamp": OF_2020, "api_secret": key}
    return [
        (mixpanel.track, ("$device:anon-1", given["own"], {"text": given["text"], "n": 2**53 + 1}), {}),
        (mixpanel.merge, (None, "$device:anon-1", user), {"api_secret": key}),
        (mixpanel.people_set, (user, {"$email": given["email"], "$name": given["name"]}), {}),
        (mixpanel.people_set_once, (user, {"first": "2026"}), {}),
        (mixpanel.people_unset, (user, ["plan"]), {}),
        (mixpanel.people_increment, (user, {"visits": 1}), {}),
        (mixpanel.group_set, (*company, {"plan": "pro"}), {}),
        (mixpanel.track, (user, "Order Completed", given["order"]), {}),
        (mixpanel.import_data, (), {"distinct_id": user, "event_name": "Imported", "properties": {"n": 1}, **old}),
    ]


def many(mixpanel: Any, given: dict[str, Any]) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    return [(mixpanel.track, (given["user"], "Read", {"n": n}), {}) for n in range(given["count"])]


if __name__ == "__main__":
    main()
