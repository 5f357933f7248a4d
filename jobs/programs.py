"""Programs that a command starts: they end with it, however it ends, and their last words are kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from settings import RESTART

MOST = 500
"""Characters of a program's last line that are repeated."""
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> Callable[[], None] | None:
    """What a child of the process `parent` calls before its program starts, so that the kernel kills it with it.

    SIGKILL, which nothing holds up: it is what a crash is to the flow, and the next start finds all free. None where
    the system is not Linux.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # which ended before
            os._exit(1)

    return ask


class Program:
    """A program under a name that people know it by.

    It has a session of its own: Ctrl-C reaches the command alone, which stops it. What it writes to standard error goes
    to the command's own when it is passed on; the last line is kept as its last words.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name, self._command = name, command
        self._asked = self._killed = False
        self.start()

    def start(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            self._command, start_new_session=True, stderr=subprocess.PIPE, preexec_fn=end_with(os.getpid())
        )
        assert self.process.stderr is not None
        self._errors, self._last, self._rest = self.process.stderr, b"", b""
        os.set_blocking(self._errors.fileno(), False)

    def start_again(self) -> None:
        """Start it anew; it has ended."""
        self.pass_on()
        self._errors.close()
        self.start()

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs; minus the signal that ended it."""
        return self.process.poll()

    def pass_on(self) -> None:
        """Pass on what it has written to standard error so far."""
        while not self._errors.closed and (text := self._read()):
            _write(text)
            *lines, self._rest = (self._rest + text).split(b"\n")
            for line in lines:
                self._last = line.strip() or self._last

    def _read(self) -> bytes | None:
        """Some bytes; none or None where there are none just now."""
        try:
            return os.read(self._errors.fileno(), 1 << 16)
        except BlockingIOError:
            return None

    def ask(self) -> None:
        """Ask it to end."""
        if self.code is None:
            self._asked = True
            self.process.terminate()

    def kill(self) -> None:
        """End it at once where it still runs, and let go of it."""
        if self.code is None:
            self._killed = True
            self.process.kill()
        self.process.wait()
        self.pass_on()
        if self._rest and not self._errors.closed:
            _write(b"\n")
        self._errors.close()

    @property
    def ended_well(self) -> bool:
        """Whether it ended as it should where somebody asks it to: also before it could heed the signal."""
        return self.code in (0, RESTART) or (self._asked and self.code == -signal.SIGTERM)

    def failure(self) -> str:
        """How it ended, with its last words where it had any."""
        code = self.code or 0
        if self._killed:
            return f"{self.name} did not end in time and was killed"
        if code < 0:
            return f"{self.name} was ended by {signal.Signals(-code).name}"
        why = (self._rest.strip() or self._last).decode(errors="replace").removeprefix("ad-streams: ")
        return f"{self.name} ended with exit code {code}{f': {why[:MOST]}' if why else ', without a word'}"


def _write(text: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
