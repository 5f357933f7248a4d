"""Programs that a command starts: what is said of their end, and that they do not outlive the command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs import run
from jobs.programs import Program
from tests.flow.running import PATIENCE, ROOT, wait_for

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(999)"
DRAINING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ad-streams: the last epoch could not be saved"))
print("ready", flush=True, file=sys.stderr)
time.sleep(999)
"""
PARENT = """
import sys
from jobs.programs import Program
children = [Program(name, [sys.executable, "-c", "import signal; signal.pause()"]) for name in "ab"]
print(*(each.process.pid for each in children), flush=True)
sys.stdin.read()
"""


@contextmanager
def program(code: str) -> Iterator[Program]:
    started = Program("the grader", [sys.executable, "-c", code])
    try:
        yield started
    finally:
        started.kill()


@pytest.mark.parametrize(
    ("code", "said", "exit_code"),
    [
        ("raise SystemExit('ad-streams: ADSTREAMS_X: no such file')", "exit code 1: ADSTREAMS_X: no such file", 1),
        ("import sys; sys.stderr.write('a\\nlast words\\n\\n'); sys.exit(3)", "exit code 3: last words", 3),
        ("import sys; sys.stderr.write('x' * 200_000); sys.exit(2)", f"exit code 2: {'x' * 500}", 2),
        ("import os; os._exit(7)", "exit code 7, without a word", 7),
        ("", "exit code 0, without a word", 1),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL", 1),
    ],
)
def test_who_failed_and_why_is_said(
    code: str, said: str, exit_code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the last line; the exit code is the program's, 1 where it has none."""
    with program(code) as failed:

        def ended() -> bool:
            failed.pass_on()
            return failed.code is not None

        wait_for(ended)
        assert run._stop([failed], [failed]) == exit_code
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("ad-streams: the grader ")
    assert last.endswith(said)


def test_one_that_had_to_be_killed_is_a_failure(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "DRAIN_TIME", 0.1)
    with program(STUBBORN) as stubborn:
        wait_for(lambda: _ignores_sigterm(stubborn.process.pid))
        assert run._stop([stubborn], []) == 1
    assert capfd.readouterr().err == "ad-streams: the grader did not end in time and was killed\n"


def test_one_that_fails_at_its_end_is_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with program(DRAINING) as draining:
        wait_for(lambda: not draining.pass_on() and "ready" in capfd.readouterr().err)
        assert run._stop([draining], []) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "ad-streams: the grader ended with exit code 1: the last epoch could not be saved"


def test_one_that_ends_when_asked_to_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    """Also before it could heed the signal."""
    with program("import time; time.sleep(999)") as fine:
        assert run._stop([fine], []) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends programs with their parent")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_none_outlives_the_command(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.send_signal(how)
    parent.communicate(timeout=PATIENCE)
    wait_for(lambda: not any(is_running(pid) for pid in children))


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that is over and that nobody has asked about is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ignores_sigterm(pid: int) -> bool:
    (mask,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn")]
    return bool(int(mask.split()[1], 16) & 1 << signal.SIGTERM - 1)
