"""Post an event from a server and look at its receipt: `python examples/post_event.py [URL] [WRITE_KEY]`."""

import json
import sys
import urllib.request

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
key = sys.argv[2] if len(sys.argv) > 2 else "sk_shop"
event = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "order-1001",  # sent again, it is still counted once
    "userId": "4711",
    "properties": {
        "order_id": "1001",
        "total": "94.85",
        "currency": "EUR",
        "products": [{"product_id": "SKU-1", "price": "89.90", "quantity": 1}],
    },
}
body = json.dumps({"writeKey": key, "batch": [event]}).encode()
with urllib.request.urlopen(f"{url}/v1/batch", data=body, timeout=10) as answer:
    print(json.dumps(json.load(answer)["receipts"][0]))
