"""`python -m jobs run`, which `make run` calls: the dataflow, the page and the grader, started and stopped together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.run import prepare_recovery
from tests.flow.running import PATIENCE, ROOT, environment, query, wait_for
from tests.jobs.running import complaint
from tests.jobs.test_programs import is_running
from tests.services.ports import free_port


def answer(address: str) -> Any:
    """The JSON at an address; None while nothing is there."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)
    except OSError:
        return None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_all_run_and_all_stop(how: signal.Signals, tmp_path: Path) -> None:
    """Events reach the page's API and are graded; one signal stops all, with exit code 0; the next run goes on."""
    port, store, model = free_port(), tmp_path / "store.db", tmp_path / "model.json"
    model.write_text(json.dumps(json.loads((ROOT / "model" / "seed.json").read_text()) | {"horizon": "1min"}))
    command = [sys.executable, "-m", "jobs", "run", "--port", str(port), "--recovery", str(tmp_path / "recovery")]
    program = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(sqlite_path=store, model=model),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = f"http://127.0.0.1:{port}/api"

    def newest() -> int:
        return int((answer(f"{address}/health") or {}).get("newest") or 0)

    assert program.stdout is not None
    assert any(f"http://localhost:{port}/app" in line for line in iter(program.stdout.readline, "")), "no address"
    wait_for(lambda: newest() > 0, program)
    first = newest()
    wait_for(lambda: newest() > first, program)
    ((user,),) = query(store, "SELECT user_id FROM latest_propensity LIMIT 1")
    assert answer(f"{address}/users/{user}/propensity")["events"]
    wait_for(lambda: query(store, "SELECT rows FROM grades WHERE kind = 'clock' AND day = 'all'"), program)
    program.send_signal(how)
    output, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, errors
    assert output.rstrip().endswith("stopped")
    assert "Traceback" not in errors
    assert answer(f"{address}/health") is None


def children(pid: int) -> dict[str, int]:
    """The programs that a process has started, by a word of their command lines."""
    found = dict[str, int]()
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        line = Path(f"/proc/{each}/cmdline").read_text()
        found |= {word: int(each) for word in ("bytewax.run", "panel", "grade") if f"\0{word}\0" in line}
    return found


def all_started(pid: int) -> bool:
    return len(children(pid)) == 3


def all_ended(pids: list[int]) -> bool:
    return not any(map(is_running, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_that_is_lost_is_named_and_a_killed_command_leaves_nothing(tmp_path: Path) -> None:
    """The page is killed: one line that says so, and exit code 1. The command itself is killed: all go with it."""
    command = [sys.executable, "-m", "jobs", "run", "--recovery", str(tmp_path / "recovery"), "--port"]
    for lost in ("panel", None):
        program = subprocess.Popen(
            [*command, str(free_port())],
            cwd=ROOT,
            env=environment(sqlite_path=tmp_path / "store.db"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(partial(all_started, program.pid), program)
        found = children(program.pid)
        os.kill(found[lost] if lost else program.pid, signal.SIGKILL)
        _, errors = program.communicate(timeout=PATIENCE)
        if lost:
            assert program.returncode == 1, errors
            assert errors.splitlines()[-1] == "ad-streams: the page was ended by SIGKILL"
        wait_for(partial(all_ended, list(found.values())))


def test_a_port_that_is_taken_stops_before_anything_starts(tmp_path: Path) -> None:
    """One plain line that names the port, exit code 2, and nothing is written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "jobs", "run", "--port", str(port), "--recovery", str(tmp_path / "recovery")],
            cwd=ROOT,
            env=environment(sqlite_path=tmp_path / "store.db"),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert f"port {port}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("origin", ["http://example.com:5006", "https://example.com", "example.com:web", ""])
def test_an_origin_that_is_none_stops_before_anything_starts(origin: str, tmp_path: Path) -> None:
    line = complaint("run", "--origin", origin, "--recovery", tmp_path / "recovery")
    assert line.startswith("ad-streams: --origin: ")
    assert line.endswith("give HOST or HOST:PORT, without http://")
    assert list(tmp_path.iterdir()) == []


def test_a_recovery_directory_that_is_made_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for said in (f"recovery directory {tmp_path / 'new'}: a new one, its flow begins with the first event\n", ""):
        prepare_recovery(tmp_path / "new")
        assert capfd.readouterr().out == said
    assert list((tmp_path / "new").glob("part-*.sqlite3"))


def test_a_bad_setting_stops_before_anything_starts(tmp_path: Path) -> None:
    """One plain line, exit code 2."""
    run = subprocess.run(
        [sys.executable, "-m", "jobs", "run", "--recovery", str(tmp_path / "recovery")],
        cwd=ROOT,
        env=environment(buckets=0),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "ADSTREAMS_BUCKETS" in line
    assert not (tmp_path / "recovery").exists()
