"""A PostgreSQL server of the tests' own, run from the installed package's binaries."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.services.missing import MissingService
from tests.services.processes import end_process, free_ports, start_process, wait_until

# A test's database need not survive a power cut.
_SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200", "timezone=UTC")


class Postgres:
    """One server on 127.0.0.1 with its data in `folder`, which user postgres must be able to enter."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        initdb = str(found[-1]) if found else shutil.which("initdb")
        if initdb is None:
            raise MissingService("PostgreSQL")
        self._bin = Path(initdb).resolve().parent
        self._folder = folder
        self._as: list[str] = []
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        data = str(folder / "data")
        self._run("initdb", "-D", data, "-U", "trackway", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        (self._port,) = free_ports(1)
        settings = [*_SETTINGS, f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1"]
        command = [*self._as, str(self._bin / "postgres"), "-D", data, "-p", str(self._port)]
        command += [part for setting in settings for part in ("-c", setting)]
        self._log = folder / "server.log"
        # QUIT, not KILL: the server takes the processes it made along.
        self._process = start_process(command, self._log, "QUIT")
        wait_until(self._answers, "PostgreSQL")

    def new_database(self) -> str:
        """Make an empty database; its URL as `postgresql://…`."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "trackway", name)
        return f"postgresql://trackway:trackway@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        end_process(self._process, signal.SIGQUIT)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at its start:\n{self._log.read_text()[-2000:]}")
        probe = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port), "-q"]
        return subprocess.run(probe, timeout=10, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def start_postgres() -> Iterator[Postgres]:
    """A server for the length of the block."""
    # Not in pytest's folder, which is closed to user postgres; and a socket's path has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="trackway-pg-") as folder:
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.stop()
