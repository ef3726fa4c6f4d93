"""Compressed bodies: every form senders use, and those that lie. Nothing beyond the limit is ever made."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest

from collector.decode import BadBody
from collector.decompress import decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = b'{"batch":[' + b",".join(b'{"type":"track","event":"e%d"}' % number for number in range(50)) + b"]}"
MOST, RATIO = 1_000_000, 100
Pack = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-15)
    return pack.compress(data) + pack.flush()


def in_two_members(data: bytes) -> bytes:
    return gzip.compress(data[:40]) + gzip.compress(data[40:])


def in_two_frames(data: bytes) -> bytes:
    return zstd.compress(data[:40]) + zstd.compress(data[40:])


FORMS: list[tuple[str, Pack]] = [
    ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP ", gzip.compress), ("gzip", in_two_members),
    ("identity, gzip", gzip.compress), ("", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
    ("br", brotli.compress), ("zstd", zstd.compress), ("zstd", in_two_frames),
]  # fmt: skip


def refused(body: bytes, encoding: str, most: int = MOST, ratio: int = RATIO) -> tuple[int, str]:
    with pytest.raises(BadBody) as caught:
        decompress(body, encoding, most, ratio)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(("encoding", "pack"), FORMS)
def test_a_body_is_read_in_every_form(encoding: str, pack: Pack) -> None:
    assert decompress(pack(PLAIN), encoding, MOST, RATIO) == PLAIN


@pytest.mark.parametrize(("encoding", "pack"), FORMS)
def test_what_is_cut_off_or_garbage_is_said_to_be(encoding: str, pack: Pack) -> None:
    packed = pack(PLAIN)
    assert refused(packed[:-5], encoding) == (400, "bad_compression")
    if encoding:
        assert refused(b"{not compressed at all}", encoding) == (400, "bad_compression")


@pytest.mark.parametrize(("encoding", "pack"), FORMS)
def test_a_bomb_is_refused_without_being_made(encoding: str, pack: Pack) -> None:
    bomb = pack(bytes(20_000_000))
    tracemalloc.start()
    try:
        assert refused(bomb, encoding) == (413, "body_too_large")
        assert tracemalloc.get_traced_memory()[1] < 5 * MOST
    finally:
        tracemalloc.stop()


def test_the_ratio_counts_where_the_size_would_still_do() -> None:
    assert len(decompress(gzip.compress(bytes(200_000)), "gzip", MOST, 10)) == 200_000
    packed = gzip.compress(bytes(500_000))
    assert refused(packed, "gzip", ratio=10) == (413, "body_too_large")
    assert len(decompress(packed, "gzip", MOST, 5_000)) == 500_000


def test_the_limit_itself_is_allowed() -> None:
    data = bytes(range(256)) * 4
    for pack, encoding in ((gzip.compress, "gzip"), (brotli.compress, "br"), (zstd.compress, "zstd")):
        assert decompress(pack(data), encoding, len(data), RATIO) == data
        assert refused(pack(data), encoding, most=len(data) - 1) == (413, "body_too_large")


@pytest.mark.parametrize("encoding", ["gzip, br", "gzip,gzip", "compress", "gzip;q=1", "\xff"])
def test_stacked_and_unknown_encodings_are_not_understood(encoding: str) -> None:
    assert refused(gzip.compress(PLAIN), encoding) == (415, "unknown_compression")


def test_a_frame_that_asks_for_much_memory_before_its_first_byte_is_refused() -> None:
    wide = zstd.compress(bytes(20_000_000), options={zstd.CompressionParameter.window_log: 27})
    assert refused(wide, "zstd", most=30_000_000, ratio=1_000_000) == (400, "bad_compression")


def test_members_without_end_are_refused() -> None:
    assert refused(gzip.compress(b"") * 5_000, "gzip") == (400, "bad_compression")
    assert refused(zstd.compress(b"") * 5_000, "zstd") == (400, "bad_compression")
