"""Sends a visit, or so many events, by an SDK for Python whose calls are Segment's; prints what the SDK says of it.

stdin: {"url", "key", "module", "options", "count", …}: the module its Client is in, and what Client is given beside.
stdout: {"sent": number of messages the SDK took, "failures": [text]}.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> None:
    given = json.load(sys.stdin)
    failures: list[str] = []

    def failed(error: Exception, _: Any) -> None:
        failures.append(str(error))

    module = importlib.import_module(given["module"])
    client = module.Client(given["key"], host=given["url"], on_error=failed, **given["options"])
    sent = send_many(client, given) if given.get("count") else send_visit(client, given)
    client.flush()
    client.join()
    print(json.dumps({"sent": sent, "failures": failures}))


def send_visit(client: Any, given: dict[str, Any]) -> int:
    user = given["user"]
    taken = [
        client.page(user, "Shop", given["text"], {"url": "https://shop.example/?utm_source=news"}),
        client.track(anonymous_id="anon-1", event=given["own"], properties={"text": given["text"], "n": 2**53 + 1}),
        client.alias("anon-1", user),
        client.identify(user, {"email": given["email"], "name": given["name"]}),
        client.group(user, given["group"], {"plan": "pro"}),
        client.screen(user, "App", "Home"),
        client.track(user, "Order Completed", given["order"]),
    ]
    return sum(done for done, _ in taken)


def send_many(client: Any, given: dict[str, Any]) -> int:
    return sum(client.track(given["user"], "Read", {"n": n})[0] for n in range(given["count"]))


if __name__ == "__main__":
    main()
