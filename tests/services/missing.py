"""What is said when a service the tests need is not on this machine."""

from __future__ import annotations


class MissingService(RuntimeError):  # noqa: N818 - a state of this machine
    """A service is not installed. Never a reason to skip a test."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is missing: run `make test-deps`, which installs it")
