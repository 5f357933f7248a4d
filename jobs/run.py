"""The dataflow, the app and the grader together, on one machine: what `make run` starts."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from jobs.programs import Program
from schemas.errors import JobError
from settings import RESTART, load_settings

DRAIN_TIME = 30
"""Seconds that programs get to end by themselves."""
_LOOK = 0.2
"""Seconds between two looks at all programs."""


def run(recovery: Path, port: int, address: str = "127.0.0.1", origins: tuple[str, ...] = ()) -> int:
    """Run all three until one fails or a signal comes; returns the exit code of the first that failed, else 0.

    The app listens at `address`; `origins` are the host:port pairs that browsers may come from beside localhost.
    A dataflow that has read its source to the end leaves the others running; one that asks for it is started again.
    What failed is reported on a line; a program that had to be killed, or was, counts as 1. When this process is killed
    itself, all three are (on Linux).

    Raises:
        SettingsError: a setting is wrong.
        JobError: the port is taken, an origin is none, or the recovery directory cannot be made.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    load_settings()
    _check_origins(origins)
    _check_port(address, port)
    prepare_recovery(recovery)
    app = [sys.executable, "-m", "panel", "serve", "viz/app.py", "--plugins", "viz.api", "--warm"]
    app += ["--address", address, "--port", str(port)]
    for origin in (f"localhost:{port}", f"127.0.0.1:{port}", *origins):
        app += ["--allow-websocket-origin", origin]
    flow = Program("the dataflow", flow_command(recovery))
    others = [Program("the page", app), Program("the grader", [sys.executable, "-m", "jobs", "grade"])]
    print("Starting the dataflow, the page and the grader; the very first start takes half a minute.", flush=True)
    page, told = f"http://localhost:{port}", False
    while not asked and flow.code in (None, 0, RESTART) and all(each.code is None for each in others):
        if flow.code == RESTART:
            flow.start_again()
        if not told and _answers(f"{page}/api/health"):
            print(f"\n  Propensity curves: {page}/app\n  Ctrl-C stops everything.\n", flush=True)
            told = True
        for program in (flow, *others):
            program.pass_on()
        time.sleep(_LOOK)
    return _stop([flow, *others], [] if asked else _failed(flow, others))


def _failed(flow: Program, others: list[Program]) -> list[Program]:
    """Who has ended though nobody asked: the page and the grader never do that, whatever their exit code."""
    found = [flow] if flow.code not in (None, 0, RESTART) else []
    return found + [each for each in others if each.code is not None]


def _stop(programs: list[Program], failed: list[Program]) -> int:
    """End all programs, say which failed, before or now, and how; returns the exit code for it."""
    for program in programs:
        program.ask()
    deadline = time.monotonic() + DRAIN_TIME
    while any(each.code is None for each in programs) and time.monotonic() < deadline:
        for program in programs:
            program.pass_on()
        time.sleep(_LOOK)
    for program in programs:
        program.kill()
    failed += [each for each in programs if each not in failed and not each.ended_well]
    print("stopped", flush=True)
    for program in failed:
        print(f"ad-streams: {program.failure()}", file=sys.stderr, flush=True)
    codes = [program.code or 0 for program in failed]
    return next((code if code > 0 else 1 for code in codes), 0)


def flow_command(recovery: Path | None) -> list[str]:
    """The command line of the dataflow, saved every 10 s where it has a recovery directory."""
    saved = [] if recovery is None else ["-r", str(recovery), "-s", "10", "-b", "0"]
    return [sys.executable, "-m", "bytewax.run", "dataflow", *saved]


def _check_origins(origins: tuple[str, ...]) -> None:
    """Say what Bokeh does not take for an origin before it is started with it."""
    from bokeh.server.util import create_hosts_allowlist  # takes a second to load

    try:
        create_hosts_allowlist(origins, None)
    except ValueError as error:
        raise JobError(f"--origin: {error}; give HOST or HOST:PORT, without http://") from None


def _check_port(address: str, port: int) -> None:
    """Say that a port is taken before anything else is started, and before another program's page is taken for ours."""
    try:
        with socket.create_server((address, port)):
            pass
    except OSError as error:
        raise JobError(f"port {port} at {address}: {error.strerror}; try another, as in make run PORT=5007") from None


def prepare_recovery(recovery: Path) -> None:
    """Create the recovery directory if it is missing, and report it: its name may be mistyped.

    Raises:
        JobError: it cannot be made.
    """
    if not any(recovery.glob("part-*.sqlite3")):
        try:
            recovery.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(f"recovery directory {recovery}: {error.strerror}") from None
        if subprocess.run([sys.executable, "-m", "bytewax.recovery", str(recovery), "2"], umask=0o077).returncode:
            raise JobError(f"recovery directory {recovery}: it could not be made")
        print(f"recovery directory {recovery}: a new one, its flow begins with the first event", flush=True)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
