"""A set of digests that forgets the oldest: in a mapped file, so nothing is loaded at start and nothing is lost by a
kill.

    header    what the file is, whose boot wrote it, the epochs, which pages were written
    buckets   of 32 words (of 8 bytes, little-endian): which place is next and the epoch of the last overflow, then 31
              entries: the epoch in the lowest byte, 7 bytes of the digest above it

The rest of the digest says which bucket. Within a bucket entries follow each other round and round, so the one to be
overwritten is the oldest; where that one is still wanted, the next bucket takes the new one ("overflow"), and who looks
goes on there. An epoch is a stretch of time and of ids: what belongs to an epoch that has passed is as good as empty,
and nothing ever has to be cleared. Two digests are taken for one if they share bucket and 7 bytes: at a full table that
happens to one new digest in 10^15.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_MAGIC: Final = b"TWIDS2\0\0"
_PAGE: Final = 4096
_WORD, _WORDS = 8, 32
_BUCKET: Final = _WORD * _WORDS
_ENTRIES: Final = _WORDS - 1
# At this many entries a bucket on average one in ten overflows, which costs a second look.
_USUAL: Final = 25
_BUCKETS_A_PAGE_BITS: Final = 4
# The window ends with an epoch: the more of them, the less is remembered beyond it.
EPOCHS: Final = 16
# Epochs end by time or by number of ids, so it may take so many to cover both.
_MOST_EPOCHS: Final = 2 * EPOCHS + 2
# Epochs have 8 bits in an entry, and come round; 0 means that the place was never used.
_NUMBERS: Final = 255
_EPOCH_BITS: Final = 0xFF
_NEXT_BITS: Final = 0xFF
_OVERFLOW_SHIFT: Final = 8

# magic, max_ids, milliseconds, buckets; then boot, closed.
_WHAT: Final = struct.Struct("<8sQQQ")
_WHOSE: Final = struct.Struct("<16sB")
# current epoch, time from which all is known; then of each epoch that counts, oldest first: begin, ids.
_STATE: Final = struct.Struct("<QqB")
_EPOCH: Final = struct.Struct("<qQ")
_WHOSE_AT: Final = 64
_STATE_AT: Final = 128
_EPOCHS_AT: Final = 256
_PAGES_AT: Final = 1024
# Of a digest the word that becomes the entry, and the number that says which bucket.
_PARTS: Final = struct.Struct("<QQ").unpack_from
_INDEX: Final = struct.Struct("<8xQ").unpack_from


class IdTable:
    """Knows the newest `max_ids` digests of the last `milliseconds`, whichever is less, and at most a sixteenth of that
    beyond. Without a file it lies in memory. One process, one thread."""

    def __init__(self, file: Path | None, max_ids: int, milliseconds: int, now: int) -> None:
        """Opens `file`, or begins anew where it is another's, was made for another size, or was cut off by a crash of
        the machine. Raises OSError where it cannot be made."""
        self._what = (max_ids, milliseconds)
        self._an_epoch = (max(1, -(-max_ids // EPOCHS)), max(1, milliseconds // EPOCHS))
        self._buckets = max(4, -(-(max_ids + self._an_epoch[0]) // _USUAL))
        pages = -(-self._buckets * _BUCKET // _PAGE)
        self._base = -(-(_PAGES_AT + pages) // _PAGE) * _PAGE
        self._file = -1
        # What the file has room for: a page that is none of these is neither read nor, on a full disk, a deadly trap.
        self._pages = bytearray(pages)
        size = self._base + pages * _PAGE
        if file is None:
            self._map = mmap.mmap(-1, size)
            self._begin(now)
        else:
            self._open(file, size, now)
        self._begin_epoch(self._epoch)
        self._words = memoryview(self._map).cast("Q")
        self._first = self._base // _WORD

    def knows(self, digest: bytes) -> bool:
        """Whether it was added, and is not too old."""
        bucket = _INDEX(digest)[0] % self._buckets
        if not self._pages[bucket >> _BUCKETS_A_PAGE_BITS]:
            return False
        at = self._base + bucket * _BUCKET
        block = self._map[at : at + _BUCKET]
        # Nearly all that come are new to a bucket that never overflowed.
        if not block[1] and digest[1:8] not in block:
            return False
        return self._found(digest[1:8], bucket)

    def add(self, digests: Sequence[bytes], now: int) -> None:
        """Add what it does not know yet, oldest first. `now` in milliseconds."""
        of_ids, of_time = self._an_epoch
        done = 0
        while done < len(digests):
            begin, ids = self._epochs[-1]
            if ids >= of_ids or now - begin >= of_time:
                self._next_epoch(now)
                begin, ids = self._epochs[-1]
            part = digests[done : done + of_ids - ids]
            self._add(part, now)
            done += len(part)
            self._epochs[-1] = (begin, ids + len(part))
            _EPOCH.pack_into(self._map, _EPOCHS_AT + _EPOCH.size * (len(self._epochs) - 1), *self._epochs[-1])

    def since(self) -> int:
        """From when on (ms) every digest added is known."""
        return max(self._whole_since, self._epochs[0][0])

    def __len__(self) -> int:
        """How many digests it knows."""
        return sum(ids for _, ids in self._epochs)

    def close(self) -> None:
        """Write it to the disk, where the next process takes it up, even on another day's boot."""
        self._words.release()
        if self._file >= 0:
            self._map.flush()
            _WHOSE.pack_into(self._map, _WHOSE_AT, _boot(), 1)
            self._map.flush()
            os.close(self._file)
            self._file = -1
        self._map.close()

    def _add(self, digests: Sequence[bytes], now: int) -> None:
        words, first, buckets, pages, number = self._words, self._first, self._buckets, self._pages, self._number
        for digest in digests:
            entry, where = _PARTS(digest)
            bucket = where % buckets
            head = first + bucket * _WORDS
            # Where nothing was ever written, or the place's epoch has passed, it is taken at once.
            if pages[bucket >> _BUCKETS_A_PAGE_BITS]:
                told = words[head]
                place = told & _NEXT_BITS
                old = words[head + 1 + place] & _EPOCH_BITS
                if not old or not self._counts(old):
                    words[head + 1 + place] = entry & ~_EPOCH_BITS | number
                    words[head] = told - place + (place + 1 if place + 1 < _ENTRIES else 0)
                    continue
            self._put(entry, bucket, now)

    def _put(self, entry: int, bucket: int, now: int) -> None:
        for _ in range(self._buckets):
            page = bucket >> _BUCKETS_A_PAGE_BITS
            if not self._pages[page] and not self._make_room(page):
                # What cannot be remembered is not known: the window begins anew.
                self._whole_since = now
                self._write_state()
                return
            head = self._first + bucket * _WORDS
            place = self._words[head] & _NEXT_BITS
            old = self._words[head + 1 + place] & _EPOCH_BITS
            if not old or not self._counts(old):
                self._words[head + 1 + place] = entry & ~_EPOCH_BITS | self._number
                self._words[head] = self._words[head] - place + (place + 1) % _ENTRIES
                return
            self._words[head] = place | self._number << _OVERFLOW_SHIFT
            bucket = (bucket + 1) % self._buckets

    def _found(self, part: bytes, bucket: int) -> bool:
        for _ in range(self._buckets):
            at = self._base + bucket * _BUCKET
            block = self._map[at : at + _BUCKET]
            place = block.find(part, _WORD)
            while place >= 0:
                # The byte before is the entry's epoch, unless what was found lies across two entries.
                if place % _WORD == 1 and self._counts(block[place - 1]):
                    return True
                place = block.find(part, place + 1)
            if not self._counts(block[1]):
                return False
            bucket = (bucket + 1) % self._buckets
        return False

    def _make_room(self, page: int) -> bool:
        if self._file >= 0:
            # To touch a mapped page that the disk has no room for ends the process; to write it only fails.
            try:
                os.pwrite(self._file, bytes(_PAGE), self._base + page * _PAGE)
            except OSError:
                return False
            self._map[_PAGES_AT + page] = 1
        self._pages[page] = 1
        return True

    def _counts(self, number: int) -> bool:
        """Whether an entry of the epoch with this number is not too old."""
        return number != 0 and (self._number - number) % _NUMBERS < len(self._epochs)

    def _next_epoch(self, now: int) -> None:
        self._begin_epoch(self._epoch + 1)
        self._epochs.append((now, 0))
        max_ids, milliseconds = self._what
        newer = len(self)
        while len(self._epochs) > 1:
            newer -= self._epochs[0][1]
            # The oldest is wanted while any of its time is in the window, and those after it are not enough.
            if self._epochs[1][0] > now - milliseconds and newer < max_ids and len(self._epochs) <= _MOST_EPOCHS:
                break
            self._epochs.popleft()
        self._write_state()

    def _begin_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._number = epoch % _NUMBERS + 1

    def _write_state(self) -> None:
        _STATE.pack_into(self._map, _STATE_AT, self._epoch, self._whole_since, len(self._epochs))
        for at, one in enumerate(self._epochs):
            _EPOCH.pack_into(self._map, _EPOCHS_AT + _EPOCH.size * at, *one)

    def _begin(self, now: int) -> None:
        self._whole_since = now
        self._epochs: deque[tuple[int, int]] = deque([(now, 0)])
        self._epoch = 0
        _WHAT.pack_into(self._map, 0, _MAGIC, *self._what, self._buckets)
        self._write_state()

    def _open(self, file: Path, size: int, now: int) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            known = os.fstat(self._file).st_size == size and self._is_ours(os.pread(self._file, self._base, 0))
            if not known:
                os.ftruncate(self._file, 0)
                os.ftruncate(self._file, size)
                os.pwrite(self._file, bytes(self._base), 0)
            self._map = mmap.mmap(self._file, size)
        except BaseException:
            os.close(self._file)
            raise
        if known:
            self._epoch, self._whole_since, count = _STATE.unpack_from(self._map, _STATE_AT)
            self._epochs = deque(_EPOCH.unpack_from(self._map, _EPOCHS_AT + _EPOCH.size * at) for at in range(count))
            self._pages[:] = self._map[_PAGES_AT : _PAGES_AT + len(self._pages)]
        else:
            self._begin(now)
        _WHOSE.pack_into(self._map, _WHOSE_AT, _boot(), 0)

    def _is_ours(self, header: bytes) -> bool:
        if _WHAT.unpack_from(header) != (_MAGIC, *self._what, self._buckets):
            return False
        boot, closed = _WHOSE.unpack_from(header, _WHOSE_AT)
        if not closed and boot != _boot():
            # The machine went down meanwhile: the disk may hold some of the pages and not others.
            return False
        count: int = _STATE.unpack_from(header, _STATE_AT)[2]
        return 0 < count <= _MOST_EPOCHS


def _boot() -> bytes:
    """What is the same until the machine starts again."""
    try:
        told = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        # Not Linux. Unknown, so never believed after a kill.
        told = os.urandom(16)
    return hashlib.blake2b(told, digest_size=16).digest()
