"""The hot path: a request's bytes become durable records, in five named steps on one screen."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from collector.answered import Answered
from collector.client import Network, agent_facts, client_address, is_proxy, stored_address
from collector.cors import Answer, cors_headers
from collector.decode import BadBody, decode, decompress
from collector.dedup import Dedup
from collector.identity import expire_cookie, is_due, read_cookie, set_cookie
from collector.intake import Context, Receipt, Taken, Topics, intake
from collector.protocols import Family
from collector.refusals import Refusals
from collector.sent import Parsed
from collector.settings import CollectorSettings, Source
from collector.sources import Grant, Refusal, Sources, key_of
from eventlog.errors import DEFAULT_RETRY_AFTER, NoSpace, RecordTooLarge, Unavailable
from eventlog.event import Client
from eventlog.log import Position, Producer
from eventlog.numbers import Timings
from eventlog.timestamps import format_ms, now_ms, parse_ms
from eventlog.topics import EVENTS, REJECTED

Headers = dict[bytes, bytes]


class Intake:
    """Everything the write-key paths need; one a process."""

    def __init__(self, settings: CollectorSettings, producer: Producer, answered: Answered, dedup: Dedup) -> None:
        self.settings = settings
        self.producer = producer
        self.sources = Sources(settings.sources)
        self.dedup = dedup
        self.refusals = Refusals(settings, producer)
        self.answered = answered
        self.bytes_in_flight = 0
        self.appends = Timings("trackway_append_seconds")
        self.proxies: list[Network] = [ipaddress.ip_network(value) for value in settings.trusted_proxies]
        self.secret = settings.secret.get_secret_value().encode()
        self.topics = Topics(EVENTS.full_name(settings.topic_prefix), REJECTED.full_name(settings.topic_prefix))

    async def handle(self, family: Family, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one POST. Every status this path can give is in this function."""
        headers = dict(scope["headers"])
        origin = _header(headers, b"origin")
        cookies: list[str] = []
        content, refused = b"", (200, "", "")
        try:
            body = await self.receive(headers, receive)
            content, cookies = await self.take(family, path, scope, headers, body)
        except BadBody as error:
            refused = error.status, error.code, str(error)
        except Refusal as error:
            refused = error.status, error.code, str(error)
            await self.refusals.record(error, origin, path)
        except RecordTooLarge as error:
            refused = 413, "body_too_large", str(error)
        except TimeoutError:
            refused = 408, "slow_body", "the body did not arrive in time"
        except Unavailable as error:
            refused = 503, "unavailable", str(error)
        except NoSpace as error:
            refused = 507, "disk_full", str(error)
        status, code, told = refused
        if code:
            content = problem(status, code, told)
            self.answered.refuse(code)
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
            parsed = family.parse(decode(body), path, self.settings.limits.batch_events)
            key = key_of(headers, scope["query_string"], parsed.write_key)
            grant = self.sources.grant(key, _header(headers, b"origin"), _header(headers, b"referer"))
            cookie_id, set_on = read_cookie(_header(headers, b"cookie"), self.settings.cookie)
            context = self.context(grant, parsed, scope, headers, cookie_id)
            taken = intake(parsed, context)
            # The parsed tree is garbage from here on: keeping it while waiting costs half the throughput of batches.
            del parsed
            # A client that goes away meanwhile does not end this: its events may be stored, so their ids must be known.
            number = self.answered.begin(len(taken.receipts))
            try:
                positions = await self.append(taken.receipts, context)
            except BaseException:
                self.answered.fail(number, taken.receipts, context)
                raise
            self.answered.give(number, taken.receipts, context)
        finally:
            self.bytes_in_flight -= len(body)
        receipts = [_shown(receipt, position) for receipt, position in zip(taken.receipts, positions, strict=True)]
        cookies = self.cookies(taken, cookie_id, set_on, self.is_https(scope, headers), context.now)
        return family.answer(receipts), cookies

    def context(self, grant: Grant, parsed: Parsed, scope: Scope, headers: Headers, cookie_id: str | None) -> Context:
        source, settings = grant.source, self.settings
        now = now_ms()
        if parsed.received_at and grant.server and source.allow_received_at:
            now = _stated(parsed.received_at, now)
        return Context(
            source=grant.name,
            protocol=parsed.protocol,
            server_key=grant.server,
            required_consent=source.requires_consent(parsed.protocol, grant.server),
            respect_dnt=settings.respect_dnt,
            filter_bots=source.bots == "filter",
            limits=settings.limits,
            topics=self.topics,
            secret=self.secret,
            now=now,
            received_at=format_ms(now),
            # A server's own address and user agent say nothing about the person.
            cookie_id=None if grant.server else cookie_id,
            client={} if grant.server else self.client(source, scope, headers),
            gpc=headers.get(b"sec-gpc") == b"1" and not grant.server,
            dnt=headers.get(b"dnt") == b"1" and not grant.server,
            collector=self.answered.headers,
        )

    def client(self, source: Source, scope: Scope, headers: Headers) -> Client:
        """What the request tells of the person's device."""
        agent = _header(headers, b"user-agent")
        client: Client = {**agent_facts(agent[:512])} if agent else {}
        peer = (scope.get("client") or ("", 0))[0]
        address = stored_address(
            client_address(peer, _header(headers, b"x-forwarded-for") or "", self.proxies), source.ip
        )
        if address:
            client["ip"] = address
        return client

    async def append(self, receipts: list[Receipt], context: Context) -> list[Position | None]:
        """Step 4: make what is new durable; every record's position. Copies that come meanwhile wait for it."""
        dedup = self.dedup
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        new: list[bytes] = []
        waits: set[asyncio.Future[None]] = set()
        for receipt in receipts:
            if receipt.status != "accepted":
                continue
            digest = dedup.digest(context.source, receipt.id or "")
            under_way = dedup.in_flight.get(digest)
            if under_way is None and not dedup.knows(digest):
                dedup.in_flight[digest] = stored
                new.append(digest)
                continue
            if under_way is not None and under_way is not stored:
                waits.add(under_way)
            receipt.status, receipt.record = "duplicate", self.refusals.duplicate(receipt, context)
        begun = time.perf_counter()
        try:
            positions = await self.producer.append([receipt.record for receipt in receipts])
        except BaseException as error:
            stored.set_exception(
                error if isinstance(error, Unavailable | NoSpace) else Unavailable("the append failed")
            )
            stored.exception()  # a copy may be waiting, or nobody: that is no error of its own
            raise
        else:
            dedup.remember(new, now_ms())
            stored.set_result(None)
            self.appends.observe(time.perf_counter() - begun)
        finally:
            for digest in new:
                del dedup.in_flight[digest]
        # A copy of an event on its way in another request is only as durable as that one.
        for wait in waits:
            await wait
        return positions

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


def _shown(receipt: Receipt, position: Position | None) -> dict[str, Any]:
    if receipt.status == "accepted":
        if position is None:
            return {"status": "accepted", "id": receipt.id}
        return {
            "status": "accepted",
            "id": receipt.id,
            "partition": position.partition.number,
            "offset": position.offset,
        }
    shown = {name: getattr(receipt, name) for name in ("status", "id", "reason", "path", "message")}
    return {name: value for name, value in shown.items() if value}


def _header(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value else None


def _stated(text: str, now: int) -> int:
    try:
        at = parse_ms(text)
    except (ValueError, OverflowError):
        return now
    return at if 0 <= at < now else now
