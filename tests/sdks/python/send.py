"""Sends messages by segment-analytics-python and tells what the SDK says of them.

stdin: {"url", "key", "messages"}; stdout: {"delivered": [message id], "failures": [text]}.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from segment.analytics import Client


def main() -> None:
    given = json.load(sys.stdin)
    failures: list[str] = []
    lost: set[str] = set()

    def failed(error: Exception, batch: list[dict[str, Any]]) -> None:
        failures.append(str(error))
        lost.update(message["messageId"] for message in batch)

    client = Client(given["key"], host=given["url"], gzip=True, upload_size=250, on_error=failed)
    taken: list[str] = []
    for message in given["messages"]:
        parameters = {_snake(name): value for name, value in message.items() if name != "type"}
        done, _ = getattr(client, message["type"])(**parameters)
        if done:
            taken.append(message["messageId"])
    client.flush()
    client.join()
    print(json.dumps({"delivered": [one for one in taken if one not in lost], "failures": failures}))


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: "_" + found.group().lower(), name)


if __name__ == "__main__":
    main()
