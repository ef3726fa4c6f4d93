"""As the other set's: by the package's first major, whose modes are functions of their own.

stdin: {"url", "key", "mode", "count", …}; stdout: {"statuses": [HTTP status of each request]}.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from cloudevents.http import CloudEvent, to_binary, to_json, to_structured

Message = tuple[dict[str, str], bytes]


def event(type_: str, data: Any, **attributes: str) -> CloudEvent:
    return CloudEvent(
        {"type": type_, "source": "/shop/kasse", "datacontenttype": "application/json", **attributes}, data
    )


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


def messages_of(given: dict[str, Any]) -> list[Message]:
    if given.get("count"):
        numbered = [to_json(event("Read", {"n": n}, subject=given["user"])) for n in range(given["count"])]
        return [({"content-type": "application/cloudevents-batch+json"}, b"[" + b",".join(numbered) + b"]")]
    if given["mode"] == "structured":
        return [to_structured(one) for one in visit(given)]
    return [to_binary(one) for one in visit(given)]


def main() -> None:
    given = json.load(sys.stdin)
    statuses = []
    for headers, body in messages_of(given):
        # It writes attributes into headers as they are: as UTF-8 they come through.
        raw = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        raw["Authorization"] = f"Bearer {given['key']}"
        request = urllib.request.Request(given["url"] + given["path"], body or b"", raw)
        with urllib.request.urlopen(request, timeout=30) as answer:
            statuses.append(answer.status)
    print(json.dumps({"statuses": statuses}))


if __name__ == "__main__":
    main()
