"""Sends a visit, or so many events, by analytics-python, as Segment's SDK was once called.

stdin: {"url", "key", "count", …}; stdout: {"sent": number of messages the SDK took, "failures": [text]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from analytics import Client


def main() -> None:
    given = json.load(sys.stdin)
    failures: list[str] = []

    def failed(error: Exception, _: Any) -> None:
        failures.append(str(error))

    client = Client(given["key"], host=given["url"], on_error=failed)
    user = given["user"]
    if given.get("count"):
        taken = [client.track(user, "Read", {"n": n}) for n in range(given["count"])]
    else:
        taken = [
            client.page(user, "Shop", given["text"], {"url": "https://shop.example/?utm_source=news"}),
            client.track(anonymous_id="anon-1", event=given["own"], properties={"text": given["text"], "n": 2**53 + 1}),
            client.alias("anon-1", user),
            client.identify(user, {"email": given["email"], "name": given["name"]}),
            client.group(user, given["group"], {"plan": "pro"}),
            client.screen(user, "App", "Home"),
            client.track(user, "Order Completed", given["order"]),
        ]
    client.flush()
    client.join()
    print(json.dumps({"sent": sum(done for done, _ in taken), "failures": failures}))


if __name__ == "__main__":
    main()
