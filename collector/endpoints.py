"""The hot path: a request's bytes become durable records, in five named steps on one screen."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from collector.client import Network, agent_facts, client_address, is_proxy, stored_address
from collector.cors import Answer, cors_headers
from collector.decode import BadBody, decode, decompress
from collector.dedup import Dedup
from collector.identity import expire_cookie, is_due, read_cookie, set_cookie
from collector.intake import Context, Receipt, Taken, intake
from collector.protocols import Family
from collector.refusals import Refusals
from collector.settings import CollectorSettings
from collector.sources import Grant, Refusal, Sources, keys_of
from eventlog.errors import DEFAULT_RETRY_AFTER, RecordTooLarge, Unavailable
from eventlog.log import Position, Producer
from eventlog.timestamps import now_ms, parse_ms

Headers = dict[bytes, bytes]


class Intake:
    """Everything the write-key paths need; one a process."""

    def __init__(self, settings: CollectorSettings, producer: Producer) -> None:
        self.settings = settings
        self.producer = producer
        self.sources = Sources(settings.sources)
        self.dedup = Dedup(settings.dedup.seconds, settings.dedup.max_ids)
        self.refusals = Refusals(settings, producer)
        self.bytes_in_flight = 0
        self.proxies: list[Network] = [ipaddress.ip_network(value) for value in settings.trusted_proxies]
        self.secret = settings.secret.get_secret_value().encode()

    async def handle(self, family: Family, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one POST. Every status this path can give is in this function."""
        headers = dict(scope["headers"])
        origin = _header(headers, b"origin")
        cookies: list[str] = []
        try:
            body = await self.receive(headers, receive)
            status, content, cookies = 200, *await self.take(family, path, scope, headers, body)
        except BadBody as error:
            status, content = error.status, problem(error.status, error.code, str(error))
        except Refusal as error:
            status, content = error.status, problem(error.status, error.code, str(error))
            await self.refusals.record(error, origin, path)
        except RecordTooLarge as error:
            status, content = 413, problem(413, "body_too_large", str(error))
        except TimeoutError:
            status, content = 408, problem(408, "slow_body", "the body did not arrive in time")
        except Unavailable as error:
            status, content = 503, problem(503, "unavailable", str(error))
        answer = Answer(status, content, cors_headers(origin, self.sources.origins))
        answer.headers += [(b"set-cookie", cookie.encode()) for cookie in cookies]
        if status == 503:
            answer.headers.append((b"retry-after", b"%d" % DEFAULT_RETRY_AFTER))
        await answer.send(send)

    async def receive(self, headers: Headers, receive: Receive) -> bytes:
        """Step 1: the body's bytes, within size and time."""
        limits = self.settings.limits
        if int(headers.get(b"content-length", b"0") or 0) > limits.body_bytes:
            raise BadBody(413, "body_too_large", f"a body has {limits.body_bytes} bytes at most")
        parts, size = [], 0
        async with asyncio.timeout(limits.body_seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BadBody(400, "cut_off", "the body is cut off")
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body_bytes:
                    raise BadBody(413, "body_too_large", f"a body has {limits.body_bytes} bytes at most")
                parts.append(part)
                more = message.get("more_body", False)
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return decompress(body, encoding, limits.body_bytes, limits.ratio)

    async def take(
        self, family: Family, path: str, scope: Scope, headers: Headers, body: bytes
    ) -> tuple[bytes, list[str]]:
        """Steps 2 to 5: parse, intake, append, answer."""
        if self.bytes_in_flight + len(body) > self.settings.limits.in_flight_bytes:
            raise Unavailable("too many bytes are being worked on")
        self.bytes_in_flight += len(body)
        try:
            decoded = decode(body)
            parsed = family.parse(decoded.value, path, self.settings.limits.batch_events)
            keys = [*keys_of(headers, scope["query_string"]), parsed.write_key]
            grant = self.sources.grant(keys, _header(headers, b"origin"), _header(headers, b"referer"))
            now = now_ms()
            if parsed.received_at and grant.server and grant.source.allow_received_at:
                now = _stated(parsed.received_at, now)
            cookie_id, set_on = read_cookie(_header(headers, b"cookie") or "", self.settings.cookie)
            context = self.context(grant, parsed.protocol, scope, headers, (now, cookie_id, decoded.careful))
            taken = intake(parsed, context)
            # The parsed tree is garbage from here on: keeping it while waiting costs half the throughput of batches.
            del decoded, parsed
            # The append goes on when the client has gone: it may be stored, so its ids must be remembered.
            receipts = await asyncio.shield(asyncio.ensure_future(self.append(taken.receipts, context)))
        finally:
            self.bytes_in_flight -= len(body)
        return family.answer(receipts), self.cookies(taken, cookie_id, set_on, self.is_https(scope, headers), now)

    def context(
        self, grant: Grant, protocol: str, scope: Scope, headers: Headers, of: tuple[int, str | None, bool]
    ) -> Context:
        now, cookie_id, careful = of
        source, settings = grant.source, self.settings
        required = source.consent == "required" or (
            source.consent is None and protocol == "trackway" and not grant.server
        )
        peer = (scope.get("client") or ("", 0))[0]
        address = client_address(peer, _header(headers, b"x-forwarded-for") or "", self.proxies)
        return Context(
            source=grant.name,
            server_key=grant.server,
            required_consent=required,
            respect_dnt=settings.respect_dnt,
            filter_bots=source.bots == "filter",
            limits=settings.limits,
            topic_prefix=settings.topic_prefix,
            secret=self.secret,
            now=now,
            cookie_id=None if grant.server else cookie_id,
            agent=agent_facts(agent[:512]) if (agent := _header(headers, b"user-agent")) else {},
            address=stored_address(address, source.ip),
            gpc=headers.get(b"sec-gpc") == b"1",
            dnt=headers.get(b"dnt") == b"1",
            careful=careful,
        )

    async def append(self, receipts: list[Receipt], context: Context) -> list[dict[str, Any]]:
        """Step 4: make what is new durable; every event's receipt, in the order sent."""
        now, dedup, loop = context.now, self.dedup, asyncio.get_running_loop()
        waits: list[asyncio.Future[Position]] = []
        firsts: dict[bytes, int] = {}
        for at, receipt in enumerate(receipts):
            if receipt.status != "accepted":
                continue
            digest = dedup.digest(context.source, receipt.id or "")
            if dedup.knows(digest) or digest in dedup.in_flight:
                if digest in dedup.in_flight:
                    waits.append(dedup.in_flight[digest])
                receipt.status, receipt.record = "duplicate", self.refusals.duplicate(receipt, context)
            else:
                dedup.in_flight[digest] = loop.create_future()
                firsts[digest] = at
        try:
            positions = await self.producer.append([receipt.record for receipt in receipts])
        except BaseException as error:
            for digest in firsts:
                future = dedup.in_flight.pop(digest)
                future.set_exception(error if isinstance(error, Unavailable) else Unavailable("the append failed"))
                future.exception()  # a copy may be waiting, or nobody: that is no error of its own
            raise
        for digest, at in firsts.items():
            dedup.remember(digest, now)
            dedup.in_flight.pop(digest).set_result(positions[at])
        # A copy of an event on its way in another request is only as durable as that one.
        for wait in waits:
            await wait
        return [_shown(receipt, position) for receipt, position in zip(receipts, positions, strict=True)]

    def cookies(self, taken: Taken, held: str | None, set_on: int, secure: bool, now: int) -> list[str]:
        """Set-Cookie values: adopt a new id, renew daily, expire."""
        cookie, wanted = self.settings.cookie, taken.cookie_id
        if wanted is None:
            return []
        if wanted == "":
            return [expire_cookie(cookie, secure)] if held else []
        return [set_cookie(wanted, cookie, now, secure)] if wanted != held or is_due(set_on, now) else []

    def is_https(self, scope: Scope, headers: Headers) -> bool:
        if scope.get("scheme") == "https":
            return True
        peer = (scope.get("client") or ("", 0))[0]
        return headers.get(b"x-forwarded-proto") == b"https" and is_proxy(peer, self.proxies)


def problem(status: int, code: str, message: str) -> bytes:
    """The one shape of errors; SDKs read `code`, `message`, `error` and `status`, and some fail without one."""
    return orjson.dumps({"success": False, "code": code, "message": message, "error": message, "status": status})


def _shown(receipt: Receipt, position: Position) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": receipt.status}
    if receipt.id:
        shown["id"] = receipt.id
    for name in ("reason", "path", "message"):
        value = getattr(receipt, name)
        if value:
            shown[name] = value
    if receipt.status == "accepted":
        shown["partition"], shown["offset"] = position.partition.number, position.offset
    return shown


def _header(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value else None


def _stated(text: str, now: int) -> int:
    try:
        return min(parse_ms(text), now)
    except ValueError:
        return now
