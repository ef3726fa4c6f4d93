"""The collector's memory of ids: exact within its window, whatever ends the process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import id_table
from collector.dedup import FILE_NAME, Dedup
from collector.id_table import EPOCHS, IdTable

DAY = 86_400_000


def digests(first: int, count: int) -> list[bytes]:
    return [Dedup.digest("shop", f"id-{number}") for number in range(first, first + count)]


@settings(max_examples=60, deadline=None)
@given(
    max_ids=st.integers(1, 400),
    window=st.integers(16, 1000),
    steps=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=30),
)
def test_it_knows_all_ids_of_the_window_and_hardly_more(
    max_ids: int, window: int, steps: list[tuple[int, int]]
) -> None:
    """Against a plain list: nothing of the window is missing, what is older by an epoch or two is forgotten."""
    table = IdTable(None, max_ids, window, 0)
    added: deque[tuple[int, bytes]] = deque()
    now = 0
    for wait, count in steps:
        now += wait
        some = digests(len(added), count)
        assert not any(map(table.knows, some))
        table.add(some, now)
        added.extend((now, one) for one in some)
        newest_first = list(reversed(added))
        for position, (at, one) in enumerate(newest_first):
            if position < max_ids and at > now - window:
                assert table.knows(one)
    # Past the window by one epoch of time, everything has gone with the next id.
    now += window + -(-window // EPOCHS) + 1
    table.add(digests(len(added), 1), now)
    table.add(digests(len(added) + 1, 1), now + window + window // EPOCHS + 1)
    assert not any(table.knows(one) for _, one in added)


def test_many_ids_are_all_known_none_mistaken_and_the_file_is_small(tmp_path: Path) -> None:
    table = IdTable(tmp_path / "ids", 200_000, DAY, 0)
    some = digests(0, 240_000)
    for first in range(0, len(some), 1000):
        table.add(some[first : first + 1000], first)
    assert all(map(table.knows, some[-200_000:]))
    # At most an epoch's worth is known beyond the window, and ids never added are not.
    assert sum(map(table.knows, some[:40_000])) <= 200_000 // EPOCHS + 1000
    assert not any(map(table.knows, digests(1_000_000, 40_000)))
    assert (tmp_path / "ids").stat().st_size < 200_000 * 12
    table.close()


def test_a_file_hardly_used_takes_hardly_any_room(tmp_path: Path) -> None:
    table = IdTable(tmp_path / "ids", 5_000_000, DAY, 0)
    table.add(digests(0, 10), 0)
    told = (tmp_path / "ids").stat()
    assert told.st_size > 50_000_000
    assert told.st_blocks * 512 < 200_000
    table.close()


def test_what_it_knows_outlives_the_process_also_a_killed_one(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from collector.dedup import Dedup\n"
        "dedup = Dedup(86400, 1000, 5000, Path(sys.argv[1]))\n"
        "dedup.remember([Dedup.digest('shop', f'id-{n}') for n in range(1500)], 6000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):  # the second time it was closed in order
        dedup = Dedup(86400, 1000, 20_000, tmp_path)
        assert all(map(dedup.knows, digests(500, 1000)))
        assert not dedup.knows(Dedup.digest("shop", "another"))
        # Ids are missing from before the number of them cut the window.
        assert dedup.window_seconds(20_000) == 14.0
        assert 1000 <= len(dedup) <= 1000 + 1000 // EPOCHS + 1
        dedup.close()


@pytest.mark.parametrize("what", ["foreign", "cut off", "other settings", "machine crashed", "torn"])
def test_a_file_that_cannot_be_believed_is_begun_anew(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dedup = Dedup(86400, 1000, 1000, tmp_path)
    dedup.remember(digests(0, 50), 1000)
    file = tmp_path / FILE_NAME
    if what != "machine crashed":
        dedup.close()
    else:
        # Not closed, and the machine has started anew since.
        monkeypatch.setattr(id_table, "_boot", lambda: bytes(16))
    if what == "foreign":
        file.write_bytes(b"x" * file.stat().st_size)
    elif what == "cut off":
        os.truncate(file, file.stat().st_size // 2)
    elif what == "torn":
        file.write_bytes(bytes(4096) + file.read_bytes()[4096:])
    again = Dedup(86400, 999 if what == "other settings" else 1000, 9000, tmp_path)
    assert not any(map(again.knows, digests(0, 50)))
    assert again.window_seconds(10_000) == 1.0
    again.remember(digests(0, 50), 9000)
    assert all(map(again.knows, digests(0, 50)))
    again.close()


def test_a_full_disk_cuts_the_window_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dedup = Dedup(86400, 100_000, 0, tmp_path)
    dedup.remember(digests(0, 100), 0)
    write = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "pwrite", full)
    dedup.remember(digests(100, 100), 50_000)
    assert all(map(dedup.knows, digests(0, 100)))
    assert not all(map(dedup.knows, digests(100, 100)))
    assert dedup.window_seconds(60_000) == 10.0
    monkeypatch.setattr(os, "pwrite", write)
    dedup.remember(digests(200, 100), 60_000)
    assert all(map(dedup.knows, digests(200, 100)))
    dedup.close()


def test_a_folder_that_cannot_be_written_leaves_it_in_memory(tmp_path: Path) -> None:
    dedup = Dedup(86400, 1000, 0, tmp_path / "missing")
    dedup.remember(digests(0, 10), 0)
    assert all(map(dedup.knows, digests(0, 10)))


@pytest.mark.parametrize(("seconds", "max_ids"), [(0, 1000), (86400, 0)])
def test_it_can_be_switched_off(seconds: float, max_ids: int, tmp_path: Path) -> None:
    dedup = Dedup(seconds, max_ids, 0, tmp_path)
    dedup.remember(digests(0, 10), 0)
    assert not any(map(dedup.knows, digests(0, 10)))
    assert dedup.window_seconds(1000) == 0
    assert list(tmp_path.iterdir()) == []
