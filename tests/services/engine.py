"""A stand-in for a Docker engine: speaks as much of its HTTP interface as the container provider uses and notes what
was asked. If told so it runs a Kafka container's command as a process, the image's paths moved into a folder.

It shows that the provider asks for the right things and that the command works; not that images do.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import signal
import socketserver
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.services.kafka_process import JARS
from tests.services.processes import end_process, start_process

# Where in the image the provider puts and runs things.
_PLACES = ("/opt/kafka", "/etc/kafka", "/var/lib/kafka/data")


class Box:
    """One container: its configuration, its folder, its process."""

    def __init__(self, folder: Path, configuration: dict[str, Any], runs: bool) -> None:
        self.folder = folder
        self.runs = runs
        self.configuration = configuration
        self.status = "created"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        for place in _PLACES:
            (folder / place[1:]).mkdir(parents=True)
        self.log.touch()
        for script, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
            file = folder / "opt/kafka/bin" / script
            file.parent.mkdir(exist_ok=True)
            java = f"java $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS -cp '{JARS}/*' {main}"
            file.write_text(f'#!/bin/sh\nexec {java} "$@"\n')
            file.chmod(0o755)

    def moved(self, text: str) -> str:
        """`text` with the image's paths as paths of the folder."""
        return re.sub("|".join(_PLACES), lambda found: f"{self.folder}{found.group()}", text)

    def put(self, archive: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file
                (self.folder / member.name.lstrip("/")).write_text(self.moved(file.read().decode()))

    def start(self) -> None:
        self.status = "running"
        command = [self.moved(part) for part in self.configuration["Cmd"]]
        if self.runs:
            self.process = start_process(["env", *self.configuration["Env"], *command], self.log)

    def act(self, what: str) -> None:
        if what == "start":
            self.start()
            return
        self.status = {"pause": "paused", "unpause": "running", "kill": "exited"}[what]
        if self.process:
            if what == "kill":
                end_process(self.process, signal.SIGKILL)
            else:
                self.process.send_signal(signal.SIGSTOP if what == "pause" else signal.SIGCONT)


class Engine:
    """Listens on a socket in `folder`. `asked`: what was asked of containers, in order."""

    def __init__(self, folder: Path, *, runs: bool = False) -> None:
        self.folder = folder
        self.runs = runs
        self.address = f"unix://{folder / 'docker.sock'}"
        self.boxes: list[Box] = []
        self.asked: list[str] = []
        self.pulled: list[str] = []
        engine = self

        class Handler(_Handler):
            def answer(self, method: str, path: str, body: bytes) -> bytes | dict[str, Any] | None:
                return engine.answer(method, path, body)

        self._server = socketserver.ThreadingUnixStreamServer(str(folder / "docker.sock"), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for box in self.boxes:
            if box.process:
                end_process(box.process, signal.SIGKILL)
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> bytes | dict[str, Any] | None:
        """The answer to a request; None is an empty one."""
        path, _, query = path.partition("?")
        path = re.sub(r"^/v[\d.]+", "", path)
        if path == "/_ping":
            return b"OK"
        if path == "/version":
            return {"ApiVersion": "1.47", "MinAPIVersion": "1.24", "Version": "28.0.0"}
        if path.startswith("/images/"):
            self.pulled.append(path.removeprefix("/images/").removesuffix("/json"))
            return {"Id": "sha256:0"}
        if path == "/containers/create":
            box = Box(self.folder / f"box-{len(self.boxes)}", json.loads(body), self.runs)
            self.boxes.append(box)
            return {"Id": str(len(self.boxes) - 1), "Warnings": []}
        if path.startswith("/exec/"):
            return b"" if path.endswith("/start") else {"ExitCode": 0, "Running": False}
        _, _, number, *rest = path.split("/")
        return self._of_box(self.boxes[int(number)], method, rest[0] if rest else "remove", (body, query))

    def _of_box(self, box: Box, method: str, what: str, sent: tuple[bytes, str]) -> bytes | dict[str, Any] | None:
        body, query = sent
        if what == "json":
            if box.process and box.process.poll() is not None:
                box.status = "exited"
            return {"Id": "0", "Config": {"Tty": False}, "State": {"Status": box.status}}
        if what == "logs":
            text = box.log.read_bytes()
            # Docker's frames: which stream, three zeros, the length.
            return b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text
        if what == "wait":
            return {"StatusCode": 137}
        if what == "archive":
            box.put(body)
            return b""
        if what == "exec":
            self.asked.append(shlex.join(json.loads(body)["Cmd"]))
            return {"Id": "0"}
        self.asked.append(f"{what} {query}".strip())
        if what == "remove":
            box.act("kill")
        else:
            box.act(what)
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, method: str, path: str, body: bytes) -> bytes | dict[str, Any] | None:
        raise NotImplementedError

    def _do(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.answer(self.command, self.path, body)
        self.send_response(204 if answer is None else 200)
        if isinstance(answer, dict):
            content = json.dumps(answer).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
        else:
            # A stream ends with its connection.
            content = answer or b""
            self.send_header("connection", "close")
        self.end_headers()
        # A client may have gone when it has read enough.
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _do  # noqa: N815 - the names http.server looks for

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: Any) -> None:
        pass
