"""A server process: started, waited for, stopped, killed, paused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import ClassVar, Self

from tests.services import bound
from tests.services.ports import demand, free_port
from tests.services.problems import ServiceError

PATIENCE = 180
"""Seconds that a server gets to answer, on a machine that is busy with other things."""
_TRIES = 3
_PORT_IN_USE = ("Address already in use", "BindException")


class Server(ABC):
    """One server that keeps its data in a folder; also a context manager, which starts and stops it.

    Everything listens on 127.0.0.1. The ports stay the same through stops and starts. The process ends with the one
    that started it, even if that is killed.

    Args:
        folder: for data, configuration and `server.log`; made where it is missing. A folder used before is gone on
            with, but give the same port if clients are to find the server again.
        port: the port for clients; a free one is chosen where none is given.
        quick: whether Java compiles less and takes memory as it needs it, for tests: the start takes half of the work,
            long use takes more.
    """

    name: ClassVar[str]
    _inner_count: ClassVar[int] = 0
    """Ports that it needs beside that for clients."""

    def __init__(self, folder: Path, port: int | None = None, quick: bool = False) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self._quick = quick
        self._java_options = ["-XX:TieredStopAtLevel=1"] if quick else []
        self._fixed = port is not None
        self.port = free_port() if port is None else port
        self._inner = [free_port() for _ in range(self._inner_count)]
        self._belongs_to_another = False
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._started_before = False
        self._given_up = Event()

    @classmethod
    def of_another_process(cls, folder: Path, ports: Sequence[int]) -> Self:
        """A server that another process started, and which it alone may stop; for its clients it is as any other."""
        server = cls(folder, ports[0])
        server._inner, server._belongs_to_another = list(ports[1:]), True
        return server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.stop()

    @property
    def ports(self) -> list[int]:
        """That for clients first; by them and the folder another process finds the server."""
        return [self.port, *self._inner]

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def paused(self) -> bool:
        """Whether the process was paused and not resumed."""
        return self.running and self._paused

    @property
    def pid(self) -> int:
        """The number of the server's own process."""
        return self._there().pid

    def start(self) -> None:
        """Start the server, and return when it has answered a client.

        Raises:
            PortTaken: another program listens at the port that was given.
            MissingTool: there is no Java or Maven.
            ServiceError: it ended or did not answer; the message has the end of its log.
        """
        self._check_own()
        if self.running:
            raise ServiceError(f"{self.name} runs already")
        for left in reversed(range(_TRIES)):
            if self._fixed or self._started_before:
                demand(self.port, self.name)
            try:
                self._launch()
            except ServiceError:
                # A port that was free when chosen may be taken by now: choose again, unless clients know it.
                if self._fixed or self._started_before or not left or not self._lost_port():
                    raise
                self.port = free_port()
                self._inner = [free_port() for _ in self._inner]
            else:
                self._started_before = True
                return

    def stop(self) -> None:
        """Ask the server to end, and wait until it has; it is killed if it does not within a minute."""
        process = self._there()
        self.resume()
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once with SIGKILL; a paused one too."""
        process = self._there()
        process.kill()
        process.wait()

    def restart(self) -> None:
        """Stop the server if it runs, and start it with the same data at the same port."""
        if self.running:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: clients' connections stay open, and nothing answers."""
        process = self._there()
        process.send_signal(signal.SIGSTOP)
        # The signal is not there at once.
        os.waitpid(process.pid, os.WUNTRACED)
        self._paused = True

    def resume(self) -> None:
        """Let a paused process go on."""
        self._there().send_signal(signal.SIGCONT)
        self._paused = False

    def give_up(self) -> None:
        """End the server for good, even while another thread starts it: that start fails."""
        self._given_up.set()
        if self.running:
            self.kill()

    def said(self, lines: int = 30) -> str:
        """The end of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._paused = False
        self._prepare()
        command = self._command()
        if self._given_up.is_set():
            raise ServiceError(f"{self.name} is not wanted any more")
        self._process = bound.start(command, self.log, self.folder)
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._given_up.is_set() or not self.running:
                raise ServiceError(f"{self.name} ended before it answered; the end of its log:\n{self.said()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} did not answer; the end of its log:\n{self.said()}")
            time.sleep(0.1)

    def _lost_port(self) -> bool:
        return any(words in self.said() for words in _PORT_IN_USE)

    def _check_own(self) -> None:
        if self._belongs_to_another:
            raise ServiceError(f"{self.name} was started by another process, which alone may stop or start it")

    def _there(self) -> subprocess.Popen[bytes]:
        self._check_own()
        if self._process is None:
            raise ServiceError(f"{self.name} was not started")
        return self._process

    @abstractmethod
    def _prepare(self) -> None:
        """Write the configuration."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line of the server."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client's request is answered; quick to say no."""
