"""Requests as nobody should send them, from a seed: bad events beside good ones, mutated bodies, odd requests."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import brotli
import orjson

from collector.decode import BadBody
from collector.openapi import reads
from collector.protocols import segment, tracker
from collector.routes import Routes
from collector.sent import Sent
from collector.settings import CollectorSettings
from tests.collector.parsing import parsed_of
from tests.collector.test_routes import bodies

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PATHS = (*segment.PATHS, *CollectorSettings().tracker.events)
BATCHES = ("/v1/batch", "/v1/b", "/v1/import", "/tw/e", "/v1/batch/")
PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": lambda data: gzip.compress(data, 1), b"deflate": lambda data: zlib.compress(data, 1),
    b"br": lambda data: brotli.compress(data, quality=1), b"zstd": lambda data: zstd.compress(data, 1),
}  # fmt: skip
TOKENS = (
    b"NaN", b"-Infinity", b"1e400", b"9" * 25, b"9" * 10_000, b"-0", b"0.1e-999", b"null", b"true", b'""', b"{}",
    b"[[" * 40, b"]" * 9, b'"\\ud800"', b'"\\udc00\\ud800"', b"\xed\xa0\x80", b"\xff", b"\xc3", b"\x00", b'"\\u0000"',
    b"\xef\xbb\xbf", b'{"a":', b",", b'"', b"\\", b"/*x*/", b'"a":1,"a":2', b"'", b"1_000", b"0x10",
    b"\xf0\x9f\x9a\xb2",
)  # fmt: skip
NAMES = (
    "type", "event", "messageId", "userId", "anonymousId", "previousId", "groupId", "timestamp", "originalTimestamp",
    "properties", "traits", "context", "channel", "name", "products", "items", "price", "quantity", "total", "order_id",
    "category", "page", "url", "referrer", "campaign", "consent", "categoryPreferences", "screen", "width", "seq",
    "ack", "cookieless", "webdriver", "params", "options", "p1", "p2",
    "library", "version", "sessionId", "locale", "x", "", "a.b", "a[0]", "\u00e9\U0001f6b2",
)  # fmt: skip
EVENTS = ("Product Viewed", "Order Completed", "Cart Viewed", "search", "consent", "reset", "logout", "Own", "", " ")
# The other protocols' ways in, and what their senders send to one or another of them.
FOREIGN = [
    (method.encode(), re.sub(r"\{\w+\}", "12345", found.route.path))
    for found in Routes(CollectorSettings()).all
    if found.route.reply is None and found.family not in (segment, tracker)
    for method in found.route.methods
]
SHAPES = [(query.encode(), body if isinstance(body, bytes) else orjson.dumps(body)) for query, body in bodies()]


def _is_read(method: bytes, path: str, query: bytes, body: bytes) -> bool:
    try:
        return any(isinstance(one, Sent) for one in parsed_of(path, body, method=method.decode(), query=query).events)
    except BadBody:
        return False


# By place in FOREIGN, the shapes that are right there.
FITTING = [[shape for shape in SHAPES if _is_read(method, path, *shape)] for method, path in FOREIGN]
METHODS = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"POST", b"TRACE", b"PROPFIND")
HEADERS = (
    b"Cookie: tw_id=a.\xb2; x=%C2%B2", b"Cookie: tw_id=%FF.1; =;;", b"Authorization: Basic \xff==", b"Authorization: x",
    b"Authorization: Basic " + b"A" * 400, b"X-Write-Key: :::", b"X-Forwarded-For: 1.2.3.4, \xff", b"Sec-GPC: 1",
    b"Forwarded: for=\"[::1]:4;by", b"Origin: null", b"Origin: https://shop.example", b"Referer: http://[x",
    b"Content-Encoding: gzip, br", b"Content-Encoding: \xff", b"User-Agent: \xff\xfe" + b"u" * 700, b"DNT: 1",
    b"Access-Control-Request-Headers: \xff,*", b"Content-Type: multipart/form-data; boundary=x", b"Range: bytes=0-1",
    b"If-None-Match: \"x\"", b"Accept-Encoding: \xff;q=9", b"Expect: 100-continue", b"Host: \xff", b"Content-Length: 0",
)  # fmt: skip


@dataclass
class Request:
    """One request; `must_keep`: the ids of the good events in it, where nothing in it may cost them their place."""

    method: bytes
    target: bytes
    headers: list[bytes] = field(default_factory=list)
    body: bytes = b""
    must_keep: list[str] = field(default_factory=list)
    # Whether it is of our own dialect, whose answers tell what became of each event.
    is_ours: bool = True
    # Whether it is HTTP at all, so that an answer is due.
    is_http: bool = True

    def bytes(self) -> bytes:
        lines = [self.method + b" " + self.target + b" HTTP/1.1", b"Host: x", *self.headers]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(self.body), b"", self.body])


class Malformed:
    """Requests of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def request(self) -> Request:
        drawn = self.random.random()
        if drawn < 0.3:
            return self._beside_good_ones()
        if drawn < 0.6:
            return self._mutated()
        return self._foreign() if drawn < 0.9 else self._odd()

    def _beside_good_ones(self) -> Request:
        # A mutation makes no other request's id of such ones.
        ids = [self.random.randbytes(8).hex() for _ in range(2)]
        good = [
            f'{{"type":"track","event":"Good","messageId":"{one}","anonymousId":"v{self.random.randrange(50)}",'
            f'"context":{{"consent":{{"categoryPreferences":{{"analytics":true}}}}}}}}'.encode()
            for one in ids
        ]
        bad = [self._message() for _ in range(self.random.randrange(1, 4))]
        body = b'{"writeKey":"sk_shop","batch":[%s]}' % b",".join([good[0], *bad, good[1]])
        request = Request(b"POST", self.random.choice(BATCHES).encode(), [], body, ids)
        return self._packed(request) if self.random.random() < 0.2 else request

    def _mutated(self) -> Request:
        if self.random.random() < 0.5:
            request = self._beside_good_ones()
        else:
            path = self.random.choice(list(PATHS))
            body = self._message()[:-1] + b',"writeKey":"sk_shop"}' if path not in BATCHES else self._raw(3)
            request = Request(b"POST", path.encode(), [], body)
        request.must_keep = []
        data = bytearray(request.body)
        for _ in range(self.random.randrange(1, 6)):
            self._mutate(data)
        request.body = bytes(data)
        if self.random.random() < 0.1:
            request = self._packed(request)
            data = bytearray(request.body)
            self._mutate(data)
            request.body = bytes(data)
        return request

    def _foreign(self) -> Request:
        """Another protocol's body, or one of its shape, at any protocol's path."""
        at = self.random.randrange(len(FOREIGN))
        method, path = FOREIGN[at]
        query, body = self.random.choice((self.random.random() > 0.2 and FITTING[at]) or SHAPES)
        parts = bytearray(query), bytearray(body)
        if self.random.random() < 0.3 and body:
            parts = parts[0], bytearray(b"[%s,%s]" % (body, self._message()))
        for data in parts:
            for _ in range(self.random.choice((0, 1, 1, 4)) if data else 0):
                self._mutate(data)
        # What no line of a request may hold goes by; what else is no ASCII stays.
        asked = bytes(parts[0]).translate(None, b"#" + bytes(range(33)) + b"\x7f")
        target = path.encode() + (b"?" + asked if asked else b"")
        headers = [] if self.random.random() < 0.1 else [b"X-Write-Key: sk_shop"]
        request = Request(method, target, headers, bytes(parts[1]), is_ours=False)
        return self._packed(request) if self.random.random() < 0.2 else request

    def _odd(self) -> Request:
        paths = [
            *PATHS,
            *(path + "/" for path in PATHS),
            *reads(CollectorSettings()),
            "/",
            "/nothing",
            "/v1/batch//",
            "/schema/..%2f",
            "/%ff",
        ]
        target = self.random.choice(paths).encode()
        if self.random.random() < 0.3:
            target += b"?" + self.random.choice((b"writeKey=sk_shop", b"writeKey=%ff", b"a=" * 300, b"%", b"\x7f"))
        headers = self.random.sample(HEADERS, self.random.randrange(0, 5))
        body = self._raw(2) if self.random.random() < 0.7 else self.random.randbytes(self.random.randrange(200))
        request = Request(self.random.choice(METHODS), target, headers, body)
        request.is_http = (
            not any(one.startswith((b"Content-Length", b"Host")) for one in headers) and b"\x7f" not in target
        )
        return request

    def _packed(self, request: Request) -> Request:
        name = self.random.choice(list(PACKERS))
        request.headers.append(b"Content-Encoding: " + name)
        request.body = PACKERS[name](request.body)
        return request

    def _mutate(self, data: bytearray) -> None:
        at = self.random.randrange(len(data) + 1)
        what = self.random.randrange(6)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << self.random.randrange(8)
        elif what == 1:
            data[at:at] = self.random.choice(TOKENS)
        elif what == 2:
            del data[at : at + self.random.randrange(1, 30)]
        elif what == 3:
            data[at:at] = data[self.random.randrange(len(data) + 1) :][:40]
        elif what == 4:
            del data[at:]
        else:
            data[at : at + 3] = self.random.choice(TOKENS)

    def _message(self) -> bytes:
        """A message with something wrong in it, most of the time; always JSON as far as its brackets go."""
        if self.random.random() < 0.1:
            return self._raw(2)
        known = b'"track"', b'"page"', b'"identify"', b'"alias"', b'"group"', b'"raptor"'
        kind = self.random.choice((*known, self._raw(0)))
        fields = [b'"type":' + kind, b'"event":"%s"' % self.random.choice(EVENTS).encode()]
        for _ in range(self.random.randrange(6)):
            fields.append(self._key() + b":" + self._raw(self.random.randrange(4)))
        return b"{" + b",".join(fields) + b"}"

    def _key(self) -> bytes:
        return b'"' + self.random.choice(NAMES).encode() + b'"'

    def _raw(self, depth: int) -> bytes:
        """Some JSON, or what Python's writes for it: NaN, long numbers, lone surrogates, deep and wide values."""
        pick = self.random.random()
        if depth and pick < 0.35:
            inner = [self._key() + b":" + self._raw(depth - 1) for _ in range(self.random.randrange(5))]
            return b"{" + b",".join(inner) + b"}"
        if depth and pick < 0.55:
            return b"[" + b",".join(self._raw(depth - 1) for _ in range(self.random.randrange(5))) + b"]"
        if pick < 0.57:
            deep = self.random.randrange(1, 400)
            return b"[" * deep + b"]" * deep
        if pick < 0.58:
            return b'"' + b"x" * self.random.choice((300, 5_000, 70_000)) + b'"'
        return self.random.choice(
            (
                b"1", b"-1.5", b"0", b"true", b"null", b'"x"', b'""', b'" "', b"NaN", b"Infinity", b"1e400", b"1e-400",
                b"123456789012345678901234567890", b"9" * 500, b'"\\ud83d"', b'"\\u0000"', b'"2026-11-24T10:00:00Z"',
                b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999999+14:00"', b'"1e5"', b'"\xf0\x9f\x9a\xb2"',
                b'"//[::"', b'"http://[x/?utm_source=%ff"', b'"a#b;c#d;#;"', b"[]", b"{}", b'"\\u202e"',
            )
        )  # fmt: skip
