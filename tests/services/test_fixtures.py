"""What somebody sees who runs the tests, with and without Java."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.running import PATIENCE, ROOT

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
