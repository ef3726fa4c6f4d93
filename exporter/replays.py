"""Which rejected records were replayed, and the transaction that replays some: their events go into the outbox, which
the aggregator sends to the log, so that nothing is sent twice and nothing is lost, whichever log it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Outgoing
from eventlog.timestamps import now_ms
from exporter.lease import CLOCK, Lease
from exporter.marks import hash64
from exporter.outgoing import put_outbox
from exporter.store import Store, rows_among
from exporter.tables import REPLAY

# Who replays holds the lease of this name: two at a time would not see what the other has on its way.
REPLAYS = "replays"

Identity = tuple[int, int]


class Place(NamedTuple):
    """A record of the rejected topic. `received_at` in milliseconds."""

    partition: int
    offset: int
    received_at: int


class Made(NamedTuple):
    """An event made from a rejected record, and its own record."""

    place: Place
    identity: Identity
    record: Outgoing


class Known(NamedTuple):
    """What the store knows of some: the places that were replayed, and the identities that stand in the store
    (`accepted`) or were replayed and are on their way (`replayed`)."""

    places: frozenset[Place]
    accepted: frozenset[Identity]
    replayed: frozenset[Identity]


def identity_of(source: str, event_id: str) -> Identity:
    """What stands for an event's identity, as the aggregator has it."""
    return hash64(event_id), hash64(f"{source}\0{event_id}")


async def known_of(store: Store, places: Collection[Place], identities: Collection[Identity]) -> Known:
    """What became of these already."""
    async with store.read() as connection:
        return await _known(connection, places, identities)


async def replayed_of(store: Store, places: Collection[Place]) -> frozenset[Place]:
    """Those of the places that were replayed."""
    async with store.read() as connection:
        return await _replayed(connection, places)


async def replay(store: Store, lease: Lease, made: Sequence[Made]) -> list[Made]:
    """Have the events sent, but for those that were by now; answers which are. Raises LeaseLost."""
    async with store.write() as connection:
        await lease.fence(connection)
        known = await _known(connection, [one.place for one in made], [one.identity for one in made])
        new: dict[Identity, Made] = {}
        for one in made:
            if one.place not in known.places and one.identity not in known.accepted | known.replayed:
                new.setdefault(one.identity, one)
        if new:
            now = now_ms()
            rows = [
                {
                    **one.place._asdict(),
                    "id_hash": one.identity[0],
                    "key_hash": one.identity[1],
                    "at": now,
                }
                for one in new.values()
            ]
            await connection.execute(insert(REPLAY), rows)
            await put_outbox(connection, [one.record for one in new.values()])
    return list(new.values())


async def is_being_sent(store: Store) -> bool:
    """Whether an aggregator runs, which sends what is in the outbox."""
    statement = text(f"SELECT 1 FROM lease WHERE name = 'outbox' AND until > {CLOCK[store.dialect]}")
    async with store.read() as connection:
        return await connection.scalar(statement) is not None


async def _known(connection: AsyncConnection, places: Collection[Place], identities: Collection[Identity]) -> Known:
    hashes = {id_hash for id_hash, _ in identities}
    replayed = await _replayed(connection, places)
    # What is in the log and was set aside there again (poison) is not on its way any more, and may be replayed anew.
    traced = await rows_among(connection, "SELECT id_hash, key_hash, seen, topic FROM trace", "id_hash", hashes)
    accepted = {(id_hash, key_hash) for id_hash, key_hash, seen, _ in traced if seen}
    arrived = {(id_hash, key_hash) for id_hash, key_hash, _, topic in traced if topic == 0}
    sent = await rows_among(connection, "SELECT id_hash, key_hash FROM replay", "id_hash", hashes)
    on_their_way = {(id_hash, key_hash) for id_hash, key_hash in sent} - arrived
    wanted = frozenset(identities)
    return Known(replayed, wanted & accepted, wanted & on_their_way)


async def _replayed(connection: AsyncConnection, places: Collection[Place]) -> frozenset[Place]:
    offsets = {place.offset for place in places}
    rows = await rows_among(connection, 'SELECT partition, "offset", received_at FROM replay', '"offset"', offsets)
    return frozenset(Place(*row) for row in rows) & frozenset(places)
