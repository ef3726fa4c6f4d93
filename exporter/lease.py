"""Named leases: what only one process may do at a time, and how another takes over when it dies.

    async with held(store, "schedule", ttl=15.0, stop=stop) as lease:
        ...                              # this process alone, for as long as the block runs
        async with store.write() as connection:
            await lease.fence(connection)  # first statement: raises LeaseLost if someone else holds it by now
            ...

`held` waits until the lease is free, renews it every third of `ttl` seconds, and lets it go at the end of the block, so
that the next holder starts at once. After a crash it is free `ttl` seconds after the last renewal. When a renewal comes
too late the block is cancelled and LeaseLost is raised: start over with `held`. A process that stood still (SIGSTOP, a
long pause) may for a moment not know that it lost the lease; what it writes is safe if the transaction begins with
`fence`. `token` grows with each new holder, for fences outside the store.

Times are the database's, so the clocks of several machines do not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from exporter.store import Store

_log = structlog.get_logger(__name__)

# The time in ms as the database has it.
CLOCK = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
}
# Who waits for a lease asks this often; it is also how long a release may go unnoticed.
_ASK_EVERY = 1.0


class LeaseLost(Exception):  # noqa: N818 - what happened, told to the block that held it
    """Another process holds the lease, or may by now."""


@dataclass(frozen=True)
class Lease:
    """A lease as its holder sees it."""

    name: str
    token: int
    holder: str = field(repr=False)

    async def fence(self, connection: AsyncConnection) -> None:
        """Lock the lease until the transaction ends. Raises LeaseLost if it is not this one any more."""
        lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
        found = await connection.scalar(text(f"SELECT token FROM lease WHERE name = :name{lock}"), {"name": self.name})
        if found != self.token:
            raise LeaseLost(f"lease {self.name} is held by another process")


async def take(store: Store, name: str, holder: str, ttl: float) -> Lease | None:
    """The lease if it is free, ours already, or run out; None while another holds it. `ttl` in seconds."""
    now = CLOCK[store.dialect]
    statement = text(
        f"INSERT INTO lease (name, holder, token, until) VALUES (:name, :holder, 1, {now} + :ttl) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, token = lease.token + "
        "CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END "
        f"WHERE lease.holder = excluded.holder OR lease.until < {now} RETURNING token"
    )
    async with store.write() as connection:
        token = await connection.scalar(statement, {"name": name, "holder": holder, "ttl": int(ttl * 1000)})
    return None if token is None else Lease(name, int(token), holder)


async def renew(store: Store, lease: Lease, ttl: float) -> bool:
    """Hold the lease `ttl` seconds from now on; False when it is another's."""
    statement = text(f"UPDATE lease SET until = {CLOCK[store.dialect]} + :ttl WHERE name = :name AND token = :token")
    async with store.write() as connection:
        done = await connection.execute(statement, {"name": lease.name, "token": lease.token, "ttl": int(ttl * 1000)})
    return bool(done.rowcount)


async def release(store: Store, lease: Lease) -> None:
    """Let go: the next `take` of anybody succeeds."""
    # The row stays, so that tokens go on growing.
    statement = text("UPDATE lease SET holder = '', until = 0 WHERE name = :name AND token = :token")
    async with store.write() as connection:
        await connection.execute(statement, {"name": lease.name, "token": lease.token})


@contextlib.asynccontextmanager
async def held(
    store: Store, name: str, ttl: float = 15.0, stop: asyncio.Event | None = None, *, wait: bool = True
) -> AsyncIterator[Lease | None]:
    """Wait for the lease `name` and hold it for the block; None if `stop` was set while waiting, or if another holds
    it and there is to be no wait.

    Raises LeaseLost from the block when the lease could not be renewed in time.
    """
    lease = await (_wait_for(store, name, ttl, stop) if wait else take(store, name, uuid.uuid4().hex, ttl))
    if lease is None:
        yield None
        return
    block = asyncio.current_task()
    assert block is not None
    lost = False

    async def beat() -> None:
        nonlocal lost
        loop = asyncio.get_running_loop()
        until = loop.time() + ttl
        while loop.time() < until:
            await asyncio.sleep(ttl / 3)
            asked = loop.time()
            try:
                async with asyncio.timeout(max(0.1, until - asked)):
                    if not await renew(store, lease, ttl):
                        break
                    until = asked + ttl
            except (DBAPIError, OSError, TimeoutError) as error:
                _log.warning("lease_not_renewed", lease=name, error=type(error).__name__)
        lost = True
        block.cancel()

    beating = asyncio.create_task(beat())
    try:
        yield lease
    except asyncio.CancelledError:
        if not lost:
            raise
        block.uncancel()
        raise LeaseLost(f"lease {name} could not be renewed in time") from None
    finally:
        beating.cancel()
        await asyncio.wait({beating})
        if not lost:
            with contextlib.suppress(DBAPIError, OSError):
                await asyncio.shield(release(store, lease))


async def _wait_for(store: Store, name: str, ttl: float, stop: asyncio.Event | None) -> Lease | None:
    holder = uuid.uuid4().hex
    while stop is None or not stop.is_set():
        lease = await take(store, name, holder, ttl)
        if lease is not None:
            return lease
        await pause(stop, _ASK_EVERY)
    return None


async def pause(stop: asyncio.Event | None, seconds: float) -> None:
    """Sleep, but wake at once when `stop` is set."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
