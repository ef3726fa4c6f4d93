"""Sends a visit, or so many events, by ga4mp; prints what the SDK says of it.

stdin: {"url", "secret", "measurement", "count", …}; stdout: {"sent": number of events, "failures": [text]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.error import HTTPError

from ga4mp import FirebaseMP, GtagMP

CLIENT = "1234567890.1700000000"


def main() -> None:
    given = json.load(sys.stdin)
    web = GtagMP(api_secret=given["secret"], measurement_id=given["measurement"], client_id=CLIENT)
    app = FirebaseMP(api_secret=given["secret"], firebase_app_id="1:123:android:abc", app_instance_id="app-1")
    for sender in (web, app):
        sender._base_domain = f"{given['url']}/mp/collect"
        sender._validation_domain = f"{given['url']}/debug/mp/collect"
    failures: list[str] = []
    sent = 0
    try:
        sent = many(web, given) if given.get("count") else visit(web, app, given)
    except HTTPError as error:
        failures.append(str(error))
    print(json.dumps({"sent": sent, "failures": failures}))


def visit(web: Any, app: Any, given: dict[str, Any]) -> int:
    order = given["order"]
    page = {"page_location": "https://shop.example/?utm_source=news", "page_title": given["text"]}
    web.send([event(web, "page_view", page), event(web, given["own"], {"text": given["text"], "n": 2**53 + 1})])
    web.store.set_user_property("user_id", given["user"])
    web.store.set_user_property("email", given["email"])
    web.store.set_user_property("name", given["name"])
    web.send([event(web, "login", {"method": "mail"})])
    bought = event(web, "purchase", {"transaction_id": order["order_id"], "value": order["total"], "items": []})
    bought.set_event_param("currency", order["currency"])
    for product in order["products"]:
        item = bought.create_new_item(product["product_id"], product["name"])
        item.set_parameter("price", product["price"])
        item.set_parameter("quantity", product["quantity"])
        bought.add_item_to_event(item)
    # Asked about first, then sent, then sent again as a page loaded anew does.
    web.send([bought], validation_hit=True)
    web.send([bought])
    web.send([bought])
    web.send([event(web, "Later", {})], postpone=True)
    web.postponed_send()
    app.send([event(app, "screen_view", {"firebase_screen": "Home"})])
    return 6


def event(sender: Any, name: str, parameters: dict[str, Any]) -> Any:
    made = sender.create_new_event(name)
    for key, value in {"engagement_time_msec": 1, **parameters}.items():
        made.set_event_param(key, value)
    return made


def many(web: Any, given: dict[str, Any]) -> int:
    web.send([event(web, "Read", {"n": n}) for n in range(given["count"])])
    return int(given["count"])


if __name__ == "__main__":
    main()
