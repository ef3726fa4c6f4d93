"""Sends a visit, or so many events, by posthog-python; prints what the SDK says of it.

stdin: {"url", "key", "count", "options", …}; stdout: {"failures": [text], "flags": those it was told of}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from posthog import Posthog


def main() -> None:
    given = json.load(sys.stdin)
    failures: list[str] = []

    def failed(error: Exception, _: Any) -> None:
        failures.append(repr(error))

    options = given.get("options", {})
    client = Posthog(given["key"], host=given["url"], on_error=failed, flush_at=250, **options)
    flags = client.get_all_flags(given["user"])
    if given.get("count"):
        for n in range(given["count"]):
            client.capture(distinct_id=given["user"], event="Read", properties={"n": n})
    else:
        send_visit(client, given)
    client.shutdown()
    print(json.dumps({"failures": failures, "flags": flags}))


def send_visit(client: Any, given: dict[str, Any]) -> None:
    user = given["user"]
    url = "https://shop.example/?utm_source=news"
    client.capture(distinct_id=user, event="$pageview", properties={"$current_url": url, "name": given["text"]})
    own = {"text": given["text"], "n": 2**53 + 1, "$process_person_profile": False}
    client.capture(distinct_id="anon-1", event=given["own"], properties=own)
    client.alias("anon-1", user)
    identify = getattr(client, "identify", client.set)
    identify(distinct_id=user, properties={"email": given["email"], "name": given["name"]})
    client.group_identify("company", given["group"], {"plan": "pro"})
    groups = {"company": given["group"]}
    client.capture(distinct_id=user, event="Order Completed", properties=given["order"], groups=groups)


if __name__ == "__main__":
    main()
