"""Sends a visit, or so many events in one batch, as the cloudevents package writes them; prints what was answered.

stdin: {"url", "key", "mode", "count", …}; stdout: {"statuses": [HTTP status of each request]}.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

SOURCE = "/shop/kasse Ü"


def event(type_: str, data: Any, **attributes: str) -> CloudEvent:
    return CloudEvent({"type": type_, "source": SOURCE, "datacontenttype": "application/json", **attributes}, data)


def visit(given: dict[str, Any]) -> list[CloudEvent]:
    user = given["user"]
    page = {"url": "https://shop.example/?utm_source=news", "title": given["text"]}
    return [
        event("page", page, subject=user),
        event(given["own"], {"text": given["text"], "n": 2**53 + 1}, anonymousid="anon-1", note=given["text"]),
        event("alias", None, userid=user, previousid="anon-1"),
        event("identify", {"email": given["email"], "name": given["name"]}, userid=user),
        event("group", {"plan": "pro"}, userid=user, groupid=given["group"]),
        event("Order Completed", given["order"], subject=user),
    ]


def joined(events: list[CloudEvent]) -> HTTPMessage:
    """The package writes no batches: they are its documents, one beside the other."""
    bodies = [to_structured_event(one).body for one in events]
    return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, b"[" + b",".join(bodies) + b"]")


def main() -> None:
    given = json.load(sys.stdin)
    if given.get("count"):
        numbered = [event("Read", {"n": n}, subject=given["user"]) for n in range(given["count"])]
        messages = [joined(numbered)]
    else:
        write = to_binary_event if given["mode"] == "binary" else to_structured_event
        messages = [write(one) for one in visit(given)]
    statuses = []
    for message in messages:
        headers = {**message.headers, "Authorization": f"Bearer {given['key']}"}
        request = urllib.request.Request(given["url"] + given["path"], message.body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            statuses.append(answer.status)
    print(json.dumps({"statuses": statuses}))


if __name__ == "__main__":
    main()
