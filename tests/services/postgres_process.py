"""A PostgreSQL server as a process, from the installed package's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from tests.services.missing import MissingService
from tests.services.postgres import ENCODING, SETTINGS, USER, Postgres
from tests.services.processes import end_process, start_process, wait_until


class PostgresProcess(Postgres):
    """One server with its data in `folder`, which user postgres must be able to enter."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        initdb = str(found[-1]) if found else shutil.which("initdb")
        if initdb is None:
            raise MissingService("PostgreSQL")
        self._bin = Path(initdb).resolve().parent
        self._folder = folder
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._as: list[str] = []
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", *ENCODING, "--no-sync")

    def start(self) -> None:
        command = [*self._as, str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port)]
        command += ["-c", f"unix_socket_directories={self._folder}", "-c", "listen_addresses=127.0.0.1", *SETTINGS]
        # QUIT, not KILL: the server takes the processes it made along.
        process = self._process = start_process(command, self._log, "QUIT")
        probe = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port), "-q"]

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended at its start:\n{self._log.read_text()[-2000:]}")
            return subprocess.run(probe, timeout=10, check=False).returncode == 0

        wait_until(ready, "PostgreSQL")

    def stop(self) -> None:
        if self._process:
            end_process(self._process, signal.SIGQUIT)

    def _create(self, database: str) -> None:
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", USER, database)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")
