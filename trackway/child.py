"""Processes that watch over others: the parent's side and the child's.

A child reads its standard input: each line is a question (`numbers`, `checks`), its end is the cue to stop, which
reaches it also when the parent is killed. It answers on standard output, one JSON object a line; the first says that it
is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from eventlog.errors import Unavailable
from eventlog.readiness import Check

_log = structlog.get_logger(__name__)

# A child that ends sooner than this after its start has not really started.
_YOUNG_SECONDS: Final = 10.0
_YOUNG_ENDS: Final = 5
_LONGEST_WAIT: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_LINE_BYTES: Final = 1024 * 1024

Answers = Mapping[str, Callable[[], Any]]


class Child:
    """One child's process, and the next one when it dies. `name` is what the log calls it."""

    def __init__(self, name: str, arguments: Namespace, command: Sequence[str], inherited: int | None = None) -> None:
        given = ["--config", str(arguments.settings_file)] if arguments.settings_file else []
        self.name = name
        self.deaths = 0
        self.ready = asyncio.Event()
        self._command = [sys.executable, "-m", "trackway", *given, *command]
        self._inherited = [] if inherited is None else [inherited]
        self._process: asyncio.subprocess.Process | None = None
        self._begun = 0.0
        self._asking = asyncio.Lock()
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start its process."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, pass_fds=self._inherited, start_new_session=True, limit=_LINE_BYTES
        )
        self._begun = time.monotonic()

    async def keep_alive(self, stop: asyncio.Event) -> None:
        """Start it again whenever it dies, until `stop` is set. Raises Unavailable, and sets `stop`, when it has died
        several times right after its start."""
        young = 0
        while not stop.is_set():
            code = await self._until_it_ends()
            if stop.is_set():
                return
            self.deaths += 1
            early = time.monotonic() - self._begun < _YOUNG_SECONDS
            # One that was killed did not fail.
            young = young + 1 if early and code > 0 else 0
            if young >= _YOUNG_ENDS:
                stop.set()
                raise Unavailable(f"the {self.name} ended {young} times with exit code {code}; its messages say why")
            wait = min(_LONGEST_WAIT, 0.25 * 2**young) if early else 0.0
            _log.warning("child_ended", child=self.name, exit_code=code, again_in_seconds=wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            if not stop.is_set():
                await self.start()

    async def ask(self, question: str) -> Any:
        """What it answers; None when it does not within two seconds, as while it starts."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing() or not self.ready.is_set():
            return None
        async with self._asking:
            with contextlib.suppress(TimeoutError, OSError, orjson.JSONDecodeError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    while not self._answers.empty():
                        self._answers.get_nowait()  # of a question whose asker had gone
                    process.stdin.write(question.encode() + b"\n")
                    await process.stdin.drain()
                    while True:
                        told = orjson.loads(await self._answers.get())
                        if told.get("to") == question:
                            return told["answer"]
        return None

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on. While it starts it handles none: only the cue to stop reaches it then."""
        if self._process is not None and self.alive and self.ready.is_set():
            self._process.send_signal(number)

    def cue(self) -> None:
        """Tell it to stop."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self, seconds: float) -> bool:
        """Have it stop, for at most `seconds`; then it is killed. Whether it left by itself, with 0."""
        process = self._process
        if process is None:
            return True
        self.cue()
        # Whoever reads its answers may have gone: a full pipe must not hold it up.
        reading = asyncio.create_task(self._read(process))
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        reading.cancel()
        return process.returncode == 0

    async def _until_it_ends(self) -> int:
        assert self._process is not None
        await self._read(self._process)
        code = await self._process.wait()
        self.ready.clear()
        return code

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # a line too long is none of ours
            while line := await process.stdout.readline():
                if not self.ready.is_set():
                    self.ready.set()
                else:
                    self._answers.put_nowait(line)


@contextlib.asynccontextmanager
async def watched(children: Sequence[Child], stop: asyncio.Event, drain_time: float) -> AsyncIterator[None]:
    """The children run for the length of the block, in which they are started again when they die. They are told to
    stop once `stop` is set, so that all of us have the same time for it; at the block's end they have `drain_time`
    seconds more. Raises Unavailable at the end where one did not start, in several tries."""

    async def pass_on() -> None:
        await stop.wait()
        for child in children:
            child.cue()

    watching: list[asyncio.Task[None]] = [asyncio.create_task(pass_on())]
    try:
        for child in children:
            await child.start()
            watching.append(asyncio.create_task(child.keep_alive(stop)))
        yield
    finally:
        for one in watching:
            one.cancel()
        await asyncio.wait(watching)
        await asyncio.gather(*(child.end(drain_time) for child in children))
    for one in watching:
        if not one.cancelled():
            one.result()


async def answer_the_parent(stop: asyncio.Event, answers: Answers) -> None:
    """The child's side: say that it is ready, answer until standard input ends or `stop` is set; then set `stop`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answering = asyncio.create_task(_answer(reader, answers))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({answering, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for task in (answering, stopped):
        task.cancel()
    await asyncio.wait({answering, stopped})
    transport.close()
    if not answering.cancelled():
        answering.result()


async def _answer(reader: asyncio.StreamReader, answers: Answers) -> None:
    # The parent may have gone: that shows as the end of standard input.
    with contextlib.suppress(BrokenPipeError):
        _tell({"ready": True})
        while line := await reader.readline():
            question = line.decode("ascii", "replace").strip()
            _tell({"to": question, "answer": answers[question]() if question in answers else None})


def _tell(told: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
    sys.stdout.buffer.flush()


def checks_told(checks: Sequence[Check]) -> list[list[Any]]:
    """Checks as JSON can hold them."""
    return [list(check) for check in checks]


def checks_heard(told: Any) -> list[Check]:
    """What `checks_told` said."""
    return [Check(*one) for one in told]
