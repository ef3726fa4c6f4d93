"""A service in a container, by testcontainers, which removes it even when the tests are killed. Needs Docker."""

from __future__ import annotations

import socket
from collections.abc import Callable

from testcontainers.core.container import DockerContainer

from tests.services.processes import wait_until
from tests.services.provider import VARIABLE


class Container:
    """A container of `image` whose port `inside` is published on `port` of 127.0.0.1, also when started again.

    `settings` is configured by the service before the first start.
    """

    def __init__(self, image: str, *, inside: int, port: int) -> None:
        self.settings = DockerContainer(image)
        # A port of our choosing: one of Docker's choosing would change with each start. testcontainers' own way to
        # say so would publish it on all addresses.
        self.settings.ports[f"{inside}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
        self._port = port
        self._made = False

    def start(self) -> None:
        """Make and start it, or start it again with its volumes and its port."""
        if self._made:
            self.settings.get_wrapped_container().start()
        else:
            self._made = True
            self.settings.start()

    def pause(self) -> None:
        self.settings.get_wrapped_container().pause()

    def unpause(self) -> None:
        self.settings.get_wrapped_container().unpause()

    def kill(self) -> None:
        """End it by SIGKILL, if it runs, and wait for that."""
        container = self.settings.get_wrapped_container()
        if self._status() == "paused":
            container.unpause()
        if self._status() == "running":
            container.kill()
            container.wait()

    def remove(self) -> None:
        """End it in whatever state it is; it and its volumes are gone."""
        self.settings.stop()

    def log(self) -> bytes:
        """What it has said since it was made, over all starts."""
        said: bytes = self.settings.get_wrapped_container().logs() if self._made else b""
        return said

    def run(self, *command: str) -> None:
        """Run a command in it. Raises RuntimeError with what that said if it fails."""
        done = self.settings.exec(list(command))
        if done.exit_code:
            raise RuntimeError(f"{command[0]} failed:\n{done.output.decode(errors='replace')}")

    def answers(self, *command: str) -> bool:
        """Whether a command in it succeeds."""
        return self.settings.exec(list(command)).exit_code == 0

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until it is ready and reached from here. Raises RuntimeError when it ended or its port is elsewhere."""

        def is_ready() -> bool:
            if self._status() == "exited":
                raise RuntimeError(f"{what} ended at its start:\n{self.log()[-2000:].decode(errors='replace')}")
            return ready()

        wait_until(is_ready, what)
        try:
            socket.create_connection(("127.0.0.1", self._port), 5).close()
        except OSError as error:
            text = f"{what} runs in a container, but its port is not on 127.0.0.1 of this machine; set {VARIABLE}=local"
            raise RuntimeError(text) from error

    def _status(self) -> str:
        self.settings.reload()
        return self.settings.status
