"""A listening socket that stops taking connections without resetting any.

The system completes connections before we accept them, and resets what is in that queue when the listener closes. So
Linux is asked first to take no further ones (a filter that drops the packet a connection begins with): the queue can be
emptied for good. Whoever comes then tries again after a second, by itself, and meets nobody or the next process.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from typing import Final

# <asm-generic/socket.h>; Python has no names for them.
_ATTACH_FILTER: Final = 26
_DETACH_FILTER: Final = 27
# Of the TCP header: is it a SYN and no ACK? Then 0 bytes of the packet are kept, else all.
_INSTRUCTIONS: Final = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


def take_no_more(sock: socket.socket) -> None:
    """Have no further connections begin; those that have begun go on. Does nothing but on Linux."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _INSTRUCTIONS))
    with contextlib.suppress(OSError):
        pointer = struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(program))
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)


def take_again(sock: socket.socket) -> None:
    """Undo it, for a socket that another process has left like that."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def accept_waiting(sock: socket.socket) -> list[socket.socket]:
    """All connections that are complete and not accepted yet."""
    waiting = []
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            waiting.append(sock.accept()[0])
    return waiting
