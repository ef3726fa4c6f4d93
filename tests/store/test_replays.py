"""What is replayed goes into the outbox once, on both stores; the records of the rejected topic are found again."""

from __future__ import annotations

import asyncio
import zlib

from sqlalchemy import text

from eventlog.log import Outgoing
from exporter.lease import held
from exporter.outgoing import decode, encode
from exporter.replays import Made, Place, identity_of, is_being_sent, known_of, replay, replayed_of
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store

HEADERS = (("ce_id", "é".encode()), ("tw_replayed", b"1/0"))


def made(offset: int, event_id: str, received_at: int = 5) -> Made:
    record = Outgoing("trackway.events.v1", b"0123456789abcdef", b'{"id":"%s"}' % event_id.encode(), HEADERS, 7)
    return Made(Place(1, offset, received_at), identity_of("shop", event_id), record)


async def waiting(store: Store) -> list[Outgoing]:
    async with store.read() as connection:
        rows = await connection.execute(text("SELECT body FROM outbox ORDER BY number"))
        return [record for (body,) in rows for record in decode(body, 0)]


def test_each_record_and_each_identity_is_replayed_once(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        store = await open_store(settings_of_store)
        await store.migrate()
        async with held(store, "replays", wait=False) as lease:
            assert lease
            async with held(store, "replays", wait=False) as second:
                assert second is None, "one at a time"
            first = [made(0, "a"), made(1, "b"), made(2, "a")]
            assert await replay(store, lease, first) == first[:2], "two records of one identity"
            again = [made(0, "repaired to another id"), made(3, "b"), made(4, "c")]
            assert await replay(store, lease, again) == again[2:]
            # A topic made anew has other records at the same places.
            assert await replay(store, lease, [made(0, "d", received_at=6)])
        sent = await waiting(store)
        assert [record.value for record in sent] == [b'{"id":"%s"}' % one for one in (b"a", b"b", b"c", b"d")]
        assert all(record.headers[:2] == HEADERS and record.timestamp == 7 for record in sent)
        assert await replayed_of(store, [Place(1, 0, 5), Place(1, 2, 5)]) == {Place(1, 0, 5)}
        await store.close()

    asyncio.run(scenario())


def test_what_arrived_counts_as_accepted_and_what_was_set_aside_may_be_replayed(
    settings_of_store: ExporterSettings,
) -> None:
    async def scenario() -> None:
        store = await open_store(settings_of_store)
        await store.migrate()
        a, b, c = (identity_of("shop", name) for name in "abc")
        async with held(store, "replays", wait=False) as lease:
            assert lease
            await replay(store, lease, [made(0, "a"), made(1, "b"), made(2, "c")])
        insert = (
            'INSERT INTO trace (id_hash, key_hash, seen, source, event_id, status, topic, partition, "offset",'
            " received_at) VALUES (:id, :key, {}, 'shop', 'x', :status, :topic, 0, 0, 5)"
        )
        async with store.write() as connection:
            # Accepted; poison of the events topic; and the rejection itself, which says nothing.
            rows = ((a, "accepted", 0, "true"), (b, "poison", 0, "false"), (c, "rejected", 1, "false"))
            for (id_hash, key_hash), status, topic, seen in rows:
                of = {"id": id_hash, "key": key_hash, "status": status, "topic": topic}
                await connection.execute(text(insert.format(seen)), of)
        known = await known_of(store, [], [a, b, c])
        assert (set(known.accepted), set(known.replayed)) == ({a}, {c})
        await store.close()

    asyncio.run(scenario())


def test_whether_somebody_sends_can_be_told(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        store = await open_store(settings_of_store)
        await store.migrate()
        assert not await is_being_sent(store)
        async with held(store, "outbox") as lease:
            assert lease
            assert await is_being_sent(store)
        assert not await is_being_sent(store)
        await store.close()

    asyncio.run(scenario())


def test_a_row_of_an_outbox_from_before_an_upgrade_is_still_sent() -> None:

    old = zlib.compress(b'[["topic","key","value",3]]')
    assert decode(old, 9) == [
        Outgoing("topic", b"key", b"value", (("content-type", b"application/json"), ("tw_seq", b"9")), 3)
    ]
    assert decode(encode([made(0, "a").record]), 4)[0].headers == (*HEADERS, ("tw_seq", b"4"))
