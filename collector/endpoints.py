"""The hot path: a request's bytes become durable records, in five named steps on one screen."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from collector.address import strictest
from collector.answered import Answered
from collector.body import RECORD_BYTES, Flight, Held, read_body
from collector.client import describe, describe_sender
from collector.cors import Answer, cors_headers
from collector.decode import BadBody
from collector.dedup import Dedup
from collector.geo import Countries
from collector.identity import read_cookie, visitor_of_day
from collector.intake import Context, Receipt, Taken, Topics, intake
from collector.protocols import OF_PROTOCOL, Family, family_of, parse
from collector.rates import Rate, limited_as
from collector.recent import Recent
from collector.refusals import Refusals
from collector.request import Request
from collector.route import Reply
from collector.sent import Parsed
from collector.setting_cookies import Asked, setting_cookies
from collector.settings import CollectorSettings
from collector.sources import Grant, Refusal, Sources, keys_of
from collector.statuses import CODES, Code, Overload, problem
from eventlog.errors import DEFAULT_RETRY_AFTER, NoSpace, RecordTooLarge, Unavailable
from eventlog.log import Position, Producer
from eventlog.numbers import Timings
from eventlog.proxies import Proxies
from eventlog.timestamps import format_ms, now_ms, parse_ms
from eventlog.topics import EVENTS, REJECTED

Headers = dict[bytes, bytes]


class Read(NamedTuple):
    """A request that was understood. `family` and `reply` make the answer, with `cookies`."""

    taken: Taken
    context: Context
    family: Family
    reply: Any
    cookies: Asked
    is_trial: bool


class Intake:
    """Everything the write-key paths need; one a process."""

    def __init__(self, settings: CollectorSettings, producer: Producer, answered: Answered, dedup: Dedup) -> None:
        self.settings = settings
        self.producer = producer
        self.sources = Sources(settings.sources)
        self.dedup = dedup
        self.refusals = Refusals(settings, producer)
        self.answered = answered
        limits = settings.limits
        self.recent = Recent()
        self.flight = Flight(limits.in_flight_bytes)
        self.turn = asyncio.Lock()
        self.ip_rate = Rate(limits.ip_events_per_second, limits.burst_seconds, "this address")
        self.key_rate = Rate(limits.key_events_per_second, limits.burst_seconds, "this write key")
        self.proxies = Proxies(settings.trusted_proxies, settings.proxy_header)
        self.appends = Timings("trackway_append_seconds")
        # Raises BadDatabase.
        self.countries = Countries(settings.geo.database) if settings.geo.database else None
        self.secret = settings.secret.get_secret_value().encode()
        self.topics = Topics(EVENTS.full_name(settings.topic_prefix), REJECTED.full_name(settings.topic_prefix))

    async def handle(self, family: Family, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for `path`, which has no slash at its end. Every status this can give is here, or by its
        code in `statuses.CODES`."""
        headers = dict(scope["headers"])
        family = family_of(family, headers)
        origin = _header(headers, b"origin")
        cookies: list[str] = []
        reply: Reply | None = None
        refused: tuple[Code, str] = "unavailable", ""
        retry_after = DEFAULT_RETRY_AFTER
        held = Held(self.flight)
        try:
            held.body = await read_body(headers, receive, self.settings.limits, held)
            reply, cookies = await self.take(family, path, scope, headers, held)
        except BadBody as error:
            refused = error.code, str(error)
        except Refusal as error:
            refused = error.code, str(error)
            await self.refusals.record(error, origin, path)
        except RecordTooLarge as error:
            refused = "body_too_large", str(error)
        except Overload as error:
            refused, retry_after = (error.code, str(error)), error.retry_after
        except Unavailable as error:
            refused = "unavailable", str(error)
        except NoSpace as error:
            refused = "disk_full", str(error)
        finally:
            held.give_back()
        headers_of_answer = cors_headers(origin, self.sources.origins)
        if reply is None:
            status = family.STATUSES.get(refused[0], CODES[refused[0]].status)
            reply = Reply(problem(*refused, status), status)
            self.answered.refuse(refused[0])
            if status == 503:
                headers_of_answer.append((b"retry-after", b"%d" % math.ceil(retry_after)))
        headers_of_answer += [(b"set-cookie", cookie.encode()) for cookie in cookies]
        headers_of_answer += reply.headers
        await Answer(reply.status, reply.body, headers_of_answer, reply.content_type).send(send)

    async def take(
        self, family: Family, path: str, scope: Scope, headers: Headers, held: Held
    ) -> tuple[Reply, list[str]]:
        """Steps 2 to 5: parse, intake, append, answer."""
        if held.is_long(self.settings.limits.body_values):
            # One at a time, so that those who send little never wait for more than one of those who send much.
            async with self.turn:
                await asyncio.sleep(0)  # with the turn taken, so that the others wait for theirs while the loop goes on
                read = self.read(family, path, scope, headers, held)
        else:
            read = self.read(family, path, scope, headers, held)
        taken, context = read.taken, read.context
        if read.is_trial:
            return read.family.answer([_shown(receipt, None) for receipt in taken.receipts], read.reply), []
        # A client that goes away meanwhile does not end this: its events may be stored, so their ids must be known.
        number = self.answered.begin(len(taken.receipts))
        try:
            positions = await self.append(taken.receipts, context)
        except BaseException:
            self.answered.fail(number, taken.receipts, context)
            raise
        self.answered.give(number, taken.receipts, context)
        receipts = [_shown(receipt, position) for receipt, position in zip(taken.receipts, positions, strict=True)]
        cookies = setting_cookies(taken, read.cookies, self.settings.cookie, context.now)
        return read.family.answer(receipts, read.reply), cookies

    def read(self, family: Family, path: str, scope: Scope, headers: Headers, held: Held) -> Read:
        """Steps 2 and 3: parse, intake. The parsed tree is garbage at its end: keeping it while waiting for the log
        costs half the throughput of batches."""
        query = scope["query_string"]
        parsed = parse(family, Request(scope["method"], path, headers, query, held.take_body(), self.settings))
        keys = keys_of(headers, query, parsed.write_keys)
        referer = None if parsed.is_link else _header(headers, b"referer")
        grant = self.sources.grant(keys, _header(headers, b"origin"), referer)
        address, https = self.proxies.seen((scope.get("client") or ("", 0))[0], scope["scheme"], scope["headers"])
        self.check_rates(grant, address, len(parsed.events))
        held.take(len(parsed.events) * RECORD_BYTES)
        cookie = None if grant.server or parsed.is_anonymous else _header(headers, b"cookie")
        cookie_id, set_on = read_cookie(cookie, self.settings.cookie) if cookie else (None, 0)
        cookie_id = cookie_id or parsed.known_as
        context = self.context(grant, parsed, address, headers, cookie_id)
        if parsed.fingerprint:
            agent = _header(headers, b"user-agent") or ""
            context.id_base = self.recent.id_base(parsed.fingerprint, address, agent, context.now)
        family = OF_PROTOCOL[parsed.protocol]
        taken = intake(parsed, context)
        ack = "" if grant.server or parsed.is_anonymous else parsed.ack
        asked = Asked(cookie, context.cookie_id, set_on, https, parsed.cookies, ack)
        return Read(taken, context, family, parsed.reply, asked, parsed.is_trial)

    def check_rates(self, grant: Grant, address: str, events: int) -> None:
        """By key, and by address where the key is a browser's: a server sends for many. Raises Overload."""
        now = time.monotonic()
        if not grant.server and (name := limited_as(address)):
            self.ip_rate.take(name, events, now)
        self.key_rate.take((grant.name, grant.server), events, now)

    def context(self, grant: Grant, parsed: Parsed, address: str, headers: Headers, cookie_id: str | None) -> Context:
        source, settings = grant.source, self.settings
        policy = strictest(source.ip, parsed.address)
        agent = _header(headers, b"user-agent")
        # Who asks to be kept from is not looked up either.
        countries = None if parsed.is_anonymous or parsed.address == "drop" else self.countries
        now = now_ms()
        if parsed.is_cookieless:
            cookie_id = visitor_of_day((grant.name, address, agent or ""), now, self.secret)
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
            cookie_id=None if grant.server or parsed.is_anonymous else cookie_id,
            client={} if grant.server else describe_sender(address, agent, policy, countries, parsed.bot),
            gpc=(parsed.gpc or headers.get(b"sec-gpc") == b"1") and not grant.server,
            dnt=(parsed.dnt or headers.get(b"dnt") == b"1") and not grant.server,
            describe=partial(describe, policy=policy, countries=countries),
            address_policy=policy,
            server_secret=source.server_key.get_secret_value(),
            collector=self.answered.headers,
            consent_rules=source.consent_rules,
        )

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
