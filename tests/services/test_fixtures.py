"""What somebody sees who runs the tests, with and without Java."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.running import PATIENCE, ROOT, wait_for
from tests.services.ports import is_free

_ONE = "tests/services/test_services.py::test_kafka_makes_no_topic_by_itself"


def run_pytest(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "JAVA_HOME", "PYTEST_ADDOPTS")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=2 * PATIENCE
    )


@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_java_tests_with_servers_are_skipped(workers: str, tmp_path: Path) -> None:
    """The run passes, and its end names what is missing, once."""
    done = run_pytest(_ONE, "-n", workers, PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("TESTS WITH REAL SERVERS DID NOT RUN")]
    assert "java not found" in line
    assert "install Java 17 and Maven" in line


def test_without_java_ci_fails(tmp_path: Path) -> None:
    done = run_pytest(_ONE, PATH=str(tmp_path), CI="true")
    assert done.returncode == 1, done.stdout
    assert "must run in CI, but java not found" in done.stdout


@pytest.mark.needs("java")
def test_without_maven_it_is_missed_only_where_something_has_to_be_fetched(tmp_path: Path) -> None:
    """An older Java is as good as none."""
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\" 2021-10-19' >&2\n")
    fake.chmod(0o755)
    done = run_pytest(_ONE, PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert "mvn not found" in done.stdout
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\" 2018-10-16' >&2\n")
    done = run_pytest(_ONE, PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert f"{fake} is Java 11, too old" in done.stdout


def test_tests_with_servers_come_last() -> None:
    """The order of the others, and theirs, is kept."""
    done = run_pytest("--collect-only", "-q", "tests/services/test_services.py", "tests/test_layers.py")
    names = [line.split("::")[1].split("[")[0] for line in done.stdout.splitlines() if "::" in line]
    first_with = names.index("test_kafka_keeps_what_was_sent")
    assert names.index("test_every_form_of_import_is_seen") < first_with
    assert names.index("test_artifacts_are_fetched_once_by_two_processes") < first_with
    assert first_with < names.index("test_cassandra_keeps_rows") < names.index("test_kafka_may_ask_for_a_password")


_SHARED = """
import os, time
from pathlib import Path
import pytest
from tests.services.problems import ServiceError

def test_one(registry):
    with pytest.raises(ServiceError, match="was started by another process"):
        registry.stop()
    (Path(os.environ["SAID"]) / f"{os.getpid()}").write_text(f"{registry.port}")
    time.sleep(int(os.environ["PAUSE"]))

def test_two(own_registry):
    own_registry.kill()

def test_three(own_registry):
    assert own_registry.running
"""
_MADE = ("-c", "pyproject.toml", "-p", "tests.services.fixtures")
"""For tests that are not in this repository."""
_EACH = (*_MADE, "-k", "test_one", "--dist", "each", "-n", "2")
"""Each of two workers runs the first."""


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Path, Path]:
    """A file of tests, and a folder into which each process writes the port that it was given."""
    path, said = tmp_path / "test_made.py", tmp_path / "said"
    path.write_text(_SHARED)
    said.mkdir()
    return path, said


@pytest.mark.needs("java")
@pytest.mark.parametrize(("options", "processes", "passed"), [(_EACH, 2, 2), ((*_MADE, "-n", "0"), 1, 3)])
def test_a_run_has_one_set_of_servers(
    options: tuple[str, ...], processes: int, passed: int, shared: tuple[Path, Path]
) -> None:
    """No test can stop a shared one; its own it may, and the next test finds it running. None is left in the end."""
    path, said = shared
    done = run_pytest(str(path), *options, SAID=str(said), PAUSE="0")
    assert f"{passed} passed" in done.stdout, done.stdout
    assert len(list(said.iterdir())) == processes
    (port,) = {int(file.read_text()) for file in said.iterdir()}
    assert is_free(port)


@pytest.mark.needs("java")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_servers_end_with_the_run(how: signal.Signals, shared: tuple[Path, Path], tmp_path: Path) -> None:
    """Also where somebody breaks it off, or kills it."""
    path, said = shared
    given = os.environ | {"SAID": str(said), "PAUSE": "1000", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_EACH, str(path)]
    with subprocess.Popen(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, text=True) as program:
        wait_for(lambda: len(list(said.iterdir())) == 2, program)
        (port,) = {int(file.read_text()) for file in said.iterdir()}
        program.send_signal(how)
        program.communicate(timeout=PATIENCE)
    wait_for(lambda: is_free(port))
    left = list(tmp_path.glob("ad-streams-tests-*"))
    assert len(left) == (0 if how == signal.SIGINT else 1)  # the next run removes it
