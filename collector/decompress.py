"""A body without its compression, within limits: nothing beyond them is ever made. Pure."""

from __future__ import annotations

import sys
import zlib
from typing import Final

import brotli

from collector.decode import BadBody

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS: Final = ("gzip", "deflate", "br", "zstd")
GZIP_MAGIC: Final = b"\x1f\x8b"

_GZIP: Final = zlib.MAX_WBITS | 16
# A file of gzip may have several members one after another; nobody sends this many, and each costs time.
_MAX_MEMBERS: Final = 1_000
# What RFC 8878 asks of those who read zstd over HTTP: 8 MiB. A frame may ask for 128 MiB before its first byte.
_ZSTD_OPTIONS: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
# Any body may become this long: the ratio means something only for what is longer than an event.
_ALWAYS: Final = 256 * 1024


def decompress(body: bytes | bytearray, encoding: str, max_bytes: int, max_ratio: int) -> bytes | bytearray:
    """The body as it was before `encoding` (the value of Content-Encoding); gzip is also known by its first bytes.
    Raises BadBody: `unknown_compression`, `bad_compression` or `body_too_large`."""
    names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    name = names[0].removeprefix("x-") if names else ""
    if len(names) > 1 or (name and name not in ENCODINGS):
        raise BadBody("unknown_compression", f"one of {', '.join(ENCODINGS)} is understood, once")
    if body.startswith(GZIP_MAGIC):
        name = "gzip"
    elif not name:
        return body
    limit = min(max_bytes, max(len(body) * max_ratio, _ALWAYS))
    try:
        plain, is_whole = _OF[name](body, limit + 1)
    except (zlib.error, brotli.error, zstd.ZstdError):
        raise BadBody("bad_compression", f"the body is not {name}") from None
    if len(plain) > limit:
        why = f"{max_bytes} bytes" if limit == max_bytes else f"{max_ratio} times its compressed size"
        raise BadBody("body_too_large", f"the decompressed body has more than {why}; send smaller batches")
    if not is_whole:
        raise BadBody("bad_compression", "the compressed body is cut off")
    return plain


def _gunzip(body: bytes | bytearray, most: int) -> tuple[bytes, bool]:
    plain = b""
    rest: bytes | bytearray = body
    for _ in range(_MAX_MEMBERS):
        inflate = zlib.decompressobj(_GZIP)
        plain += inflate.decompress(rest, most - len(plain))
        rest = inflate.unused_data
        if not inflate.eof or len(plain) >= most or not rest:
            return plain, inflate.eof
    raise zlib.error("too many members")


def _inflate(body: bytes | bytearray, most: int) -> tuple[bytes, bool]:
    """`deflate` is zlib's format by the standard; some send what stands within it only."""
    try:
        inflate = zlib.decompressobj()
        plain = inflate.decompress(body, most)
    except zlib.error:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflate.decompress(body, most)
    return plain, inflate.eof


def _unbrotli(body: bytes | bytearray, most: int) -> tuple[bytes, bool]:
    reader = brotli.Decompressor()
    parts = [reader.process(bytes(body), output_buffer_limit=most)]
    size = len(parts[0])
    while size < most and not reader.is_finished():
        part = reader.process(b"", output_buffer_limit=most - size)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts), bool(reader.is_finished())


def _unzstd(body: bytes | bytearray, most: int) -> tuple[bytes, bool]:
    plain = b""
    rest: bytes | bytearray = body
    for _ in range(_MAX_MEMBERS):
        reader = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        plain += reader.decompress(rest, most - len(plain))
        rest = reader.unused_data
        if not reader.eof or len(plain) >= most or not rest:
            return plain, reader.eof
    raise zstd.ZstdError("too many frames")


_OF: Final = {"gzip": _gunzip, "deflate": _inflate, "br": _unbrotli, "zstd": _unzstd}
