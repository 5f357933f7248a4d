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

from jobs.problems import JobError
from settings import RESTART, load_settings

DRAIN_TIME = 30
"""Seconds that a program gets to end by itself."""


def run(recovery: Path, port: int, address: str = "127.0.0.1", origins: tuple[str, ...] = ()) -> int:
    """Run all three until one fails or a signal comes; returns the exit code of the one that failed, else 0.

    The app listens at `address`; `origins` are the host:port pairs that browsers may come from beside localhost.
    A dataflow that has read its source to the end leaves the others running; one that asks for it is started again.

    Raises:
        SettingsError: a setting is wrong.
        JobError: the port is taken, an origin is none, or the recovery directory cannot be made.
    """
    load_settings()
    _check_origins(origins)
    _check_port(address, port)
    prepare_recovery(recovery)
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    flow = flow_command(recovery)
    app = [sys.executable, "-m", "panel", "serve", "viz/app.py", "--plugins", "viz.api", "--warm"]
    app += ["--address", address, "--port", str(port)]
    for origin in (f"localhost:{port}", f"127.0.0.1:{port}", *origins):
        app += ["--allow-websocket-origin", origin]
    grader = [sys.executable, "-m", "jobs", "grade"]
    page = f"http://localhost:{port}"
    # Sessions of their own: Ctrl-C reaches this program alone, which stops the others.
    programs = [subprocess.Popen(command, start_new_session=True) for command in (flow, app, grader)]
    print("Starting the dataflow, the page and the grader; the very first start takes half a minute.", flush=True)
    told = False
    while not asked and (programs[0].poll() or 0) in (0, RESTART) and not any(each.poll() for each in programs[1:]):
        if programs[0].poll() == RESTART:
            programs[0] = subprocess.Popen(flow, start_new_session=True)
        if not told and _answers(f"{page}/api/health"):
            print(f"\n  Propensity curves: {page}/app\n  Ctrl-C stops everything.\n", flush=True)
            told = True
        time.sleep(0.2)
    codes = [program.poll() or 0 for program in programs]
    for program in programs:
        if program.poll() is None:
            program.terminate()
    for program in programs:
        _wait(program)
    print("stopped", flush=True)
    return next((code for code in codes if code), 0)


def flow_command(recovery: Path) -> list[str]:
    """The command line of the dataflow, saved to a recovery directory every 10 s."""
    return [sys.executable, "-m", "bytewax.run", "dataflow", "-r", str(recovery), "-s", "10", "-b", "0"]


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
    """Make the recovery directory where it is missing, and say so: its name may be mistyped.

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


def _wait(program: subprocess.Popen[bytes]) -> None:
    try:
        program.wait(DRAIN_TIME)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
