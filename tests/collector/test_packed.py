"""Bodies as SDKs pack them, routes that never meet, and requests that a browser repeats."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from collector.decode import BadBody
from collector.packed import take_packed
from collector.protocols import segment
from collector.recent import Recent
from collector.request import Request
from collector.routes import Routes
from collector.settings import CollectorSettings

VALUE = {"event": "Läsning 🚲", "n": 9007199254740993, "a": ["+/?", None]}
TEXT = json.dumps(VALUE, ensure_ascii=False)
# Browsers' own encoders write each half of a surrogate pair by itself.
CESU = b"".join(unit.encode("utf-8", "surrogatepass") for unit in TEXT.replace("🚲", "\ud83d\udeb2"))
BASE64 = base64.b64encode(TEXT.encode()).decode()


def request(body: bytes, query: bytes = b"") -> Request:
    return Request("POST", "/e", {}, query, body, CollectorSettings())


@pytest.mark.parametrize(
    "body",
    [
        TEXT.encode(),
        b" \n" + TEXT.encode(),
        CESU,
        BASE64.encode(),
        BASE64.rstrip("=").translate(str.maketrans("+/", "-_")).encode(),
        base64.b64encode(CESU),
        b"data=" + quote(TEXT).encode(),
        b"data=" + quote(BASE64).encode() + b"&ip=1",
        b"ip=1&data=" + BASE64.encode(),  # the plus becomes a blank
        b"data=" + quote(base64.b64encode(CESU).decode()).encode(),
    ],
)
def test_a_body_is_read_however_it_is_packed(body: bytes) -> None:
    value, fields = take_packed(request(body))
    assert value == VALUE
    assert fields == ({"ip": "1"} if b"ip=1" in body else {})


@pytest.mark.parametrize("body", [b"", b"data=", b"data=%%%", b"\xff\xfe", b"a=1&b=2", b"data=" + b"&a" * 2000])
def test_what_is_no_body_is_told(body: bytes) -> None:
    with pytest.raises(BadBody):
        take_packed(request(body))


def test_a_path_of_two_protocols_is_an_error() -> None:
    assert Routes(CollectorSettings(), (segment,)).find("/v1/batch/")
    with pytest.raises(ValueError, match="POST /v1/batch is routed twice"):
        Routes(CollectorSettings(), (segment, segment))


def test_the_same_request_within_two_seconds_gets_the_same_ids() -> None:
    recent = Recent()
    sent = request(b"x", b"a=1").fingerprint()
    first = recent.id_base(sent, "192.0.2.1", "agent", 10_000)
    assert recent.id_base(sent, "192.0.2.1", "agent", 12_000) == first
    others = {
        recent.id_base(sent, "192.0.2.2", "agent", 10_000),
        recent.id_base(sent, "192.0.2.1", "other", 10_000),
        recent.id_base(request(b"x", b"a=2").fingerprint(), "192.0.2.1", "agent", 10_000),
        recent.id_base(request(b"y", b"a=1").fingerprint(), "192.0.2.1", "agent", 10_000),
        recent.id_base(sent, "192.0.2.1", "agent", 12_001),
    }
    assert len(others | {first}) == 6
