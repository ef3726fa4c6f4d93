"""Services as processes of this machine: free ports, a signal at the parent's death, an end by pid."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def start_process(command: list[str], log: Path, at_death: str = "KILL") -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, output to `log`; the signal `at_death` reaches it when we die.

    So nothing outlives a test run, also one that was killed, and Ctrl-C ends services by their fixtures only.
    """
    # The kernel means the thread that starts it: one that ends earlier than the tests must not take it along.
    lasting = threading.current_thread() is threading.main_thread()
    if lasting and sys.platform == "linux" and shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", at_death, *command]
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)


def end_process(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End it and wait for it; killed if it has not gone after 20 s."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def wait_until(ready: Callable[[], bool], what: str, deadline: float = 60.0) -> None:
    """Ask `ready` until it says so. Raises TimeoutError naming `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not start within {deadline:.0f} s")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
