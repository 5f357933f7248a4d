"""Programs that end when the program that started them ends, however that happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_STARTER = ThreadPoolExecutor(1, "bound")
"""Linux ends a bound program with the thread, not the process, that started it: this one is there to the end."""


def start(command: Sequence[str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a program in `folder` with no input; what it prints is added to `log`.

    It has a session of its own, so that Ctrl-C in a terminal does not reach it. On Linux it is killed when this process
    ends in any way; elsewhere it stays if this process is killed.
    """
    wrapped = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]

    def run() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                wrapped,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    return _STARTER.submit(run).result()


def _become(parent: int, command: list[str]) -> None:
    """Turn this process into the program, bound to its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent ended before the binding.
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
