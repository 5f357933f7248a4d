"""One flow in several processes of this machine, started again as a whole when one of them ends or stands still."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from jobs.programs import end_with
from jobs.run import DRAIN_TIME, flow_command, prepare_recovery
from jobs.signals import asked_to_end
from settings import MISTAKEN, RESTART, load_settings

PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a flow is started again, one after the other while it never lives for `HEALTHY`."""
HEALTHY = 60.0
STANDSTILL = 10.0
"""Seconds for which a process may be stopped (SIGSTOP) before it counts as lost."""
_LOOK = 0.1
"""Seconds between two looks at all processes: whoever waits for one misses the others, and a signal."""

_FINE = (None, 0, RESTART)

log = logging.getLogger("adstreams.supervise")


def supervise(processes: int, recovery: Path) -> int:
    """Run a flow until it ends by itself or a signal asks it to; returns its exit code.

    A process that is gone leaves the others without what it held, so all are ended and started again from the last
    epoch; the directory is free by then, because a process that does not end, or is stopped, is killed. When this
    process is killed itself, all are (on Linux).

    Raises:
        SettingsError: a setting is wrong.
        JobError: the recovery directory cannot be made.
    """
    load_settings()
    prepare_recovery(recovery)
    pauses = _pauses()
    with asked_to_end() as asked:
        while True:
            began = time.monotonic()
            with ExitStack() as stack:
                code = _run(_start(processes, recovery, stack), asked)
            if asked() or code in (0, MISTAKEN):
                return code
            if time.monotonic() - began > HEALTHY:
                pauses = _pauses()
            # Asking for a restart is no failure.
            over = time.monotonic() + (0.0 if code == RESTART else next(pauses))
            while time.monotonic() < over and not asked():
                time.sleep(_LOOK)
            if asked():
                return code


def _pauses() -> Iterator[float]:
    return itertools.chain(PAUSES, itertools.repeat(PAUSES[-1]))


def _start(processes: int, recovery: Path, stack: ExitStack) -> list[subprocess.Popen[bytes]]:
    addresses = ";".join(f"127.0.0.1:{port}" for port in _free_ports(processes))
    programs = []
    for number in range(processes):
        member = ["-i", str(number), "-a", addresses] if processes > 1 else []
        # A session of its own: Ctrl-C reaches this program alone, which asks the others.
        program = subprocess.Popen(
            flow_command(recovery) + member, start_new_session=True, preexec_fn=end_with(os.getpid())
        )
        stack.callback(_kill, program)
        programs.append(program)
    log.info("started as %s", ", ".join(str(program.pid) for program in programs))
    return programs


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def _run(programs: list[subprocess.Popen[bytes]], asked: Callable[[], bool]) -> int:
    """Wait until the flow is over, one way or another; returns its exit code."""
    stopped = dict[int, float]()
    while not asked() and all(program.poll() is None for program in programs):
        for number, program in enumerate(programs):
            if not _is_stopped(program):
                stopped.pop(number, None)
            elif time.monotonic() - stopped.setdefault(number, time.monotonic()) > STANDSTILL:
                log.warning("process %d (%d) does not respond: restarting all", number, program.pid)
                return 1
        time.sleep(_LOOK)
    if asked():
        for program in programs:
            program.terminate()
    else:
        lost = [(program.returncode, number) for number, program in enumerate(programs) if program.poll() not in _FINE]
        if lost:
            # Others may have ended over the loss of one: a signal (negative) tells more than their exit codes.
            number = min(lost)[1]
            return _tell(number, programs[number])
    deadline = time.monotonic() + DRAIN_TIME
    for number, program in enumerate(programs):
        try:
            program.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            log.warning("process %d (%d) did not end within %d s and is killed", number, program.pid, DRAIN_TIME)
            return 1
    return max(program.returncode if program.returncode >= 0 else 1 for program in programs)


def _tell(number: int, program: subprocess.Popen[bytes]) -> int:
    code = program.returncode
    if code != MISTAKEN:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        log.warning("process %d (%d) %s: restarting all", number, program.pid, how)
    return code if code > 0 else 1


def _is_stopped(program: subprocess.Popen[bytes]) -> bool:
    try:
        return os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _kill(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        program.kill()
    program.wait()
