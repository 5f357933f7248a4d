"""Kafka, Cassandra and the registry for development, as somebody at a terminal has them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.flow.running import PATIENCE, ROOT, wait_for
from tests.services.ports import free_port
from tests.services.topics import TOPICS


def services(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.services", "--data", str(folder), *arguments]


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program while the block lasts; it is killed if it has not ended by then."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.needs("java")
def test_the_servers_of_make_services(tmp_path: Path) -> None:
    """They say how to use them, have the topics, do not share their data with another run, and stop when asked."""
    ports = {name: free_port() for name in ("kafka", "cassandra", "registry")}
    given = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    with running(services(tmp_path, *given)) as program:
        assert program.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = program.stdout.readline()
            assert line, said
            said += line
        brokers = f"localhost:{ports['kafka']}"
        use = f"ADSTREAMS_KAFKA_BROKERS={brokers} ADSTREAMS_CASSANDRA_PORT={ports['cassandra']} make run"
        assert f"{use} STORE=cassandra SOURCE=kafka\n" in said
        assert f"python -m jobs simulate --brokers {brokers}\n" in said
        topics = AdminClient({"bootstrap.servers": f"127.0.0.1:{ports['kafka']}"}).list_topics(timeout=60).topics
        assert {topic.name: topic.partitions for topic in TOPICS}.items() <= {
            name: len(topic.partitions) for name, topic in topics.items()
        }.items()
        again = subprocess.run(
            services(tmp_path, *(str(free_port()) if part.isdigit() else part for part in given)),
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert (again.returncode, again.stderr) == (2, f"{tmp_path}: in use by another run of this command\n")
        program.send_signal(signal.SIGTERM)
        out, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out.strip(), errors) == (0, "stopped", "")


@pytest.mark.needs("java")
def test_they_stop_while_they_start(tmp_path: Path) -> None:
    """Ctrl-C does not wait for servers that are not ready."""
    given = [part for name in ("kafka", "cassandra", "registry") for part in (f"--{name}-port", str(free_port()))]
    with running(services(tmp_path, *given)) as program:
        wait_for((tmp_path / "cassandra" / "server.log").exists, program)
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=PATIENCE)
    assert (program.returncode, errors) == (0, "")
    assert out.endswith("stopped\n")


@pytest.mark.needs("java")
def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = services(tmp_path, "--kafka-port", str(port))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stdout + done.stderr == f"Kafka: port {port} is taken by another program\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, {}),
        (["STORE=cassandra"], {}, {"STORE": "cassandra"}),
        (["SOURCE=kafka"], {}, {"SOURCE": "kafka", "KAFKA_BROKERS": "localhost:9092"}),
        (
            ["STORE=cassandra", "SOURCE=kafka"],
            {},
            {"STORE": "cassandra", "SOURCE": "kafka", "KAFKA_BROKERS": "localhost:9092"},
        ),
        (["SOURCE=file"], {}, {"SOURCE": "file"}),
        (["SOURCE=kafka"], {"KAFKA_BROKERS": "k:1"}, {"SOURCE": "kafka", "KAFKA_BROKERS": "k:1"}),
        (["STORE=cassandra"], {"STORE": "sqlite"}, {"STORE": "sqlite"}),
        ([], {"SOURCE": "file"}, {"SOURCE": "file"}),
    ],
)
def test_make_run_takes_a_store_and_a_source(
    arguments: list[str], environment: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    """Settings that are there already win; with nothing said none is set. No pair resumes another's run."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nenv | grep ^ADSTREAMS_\nshift $(($# - 1)); echo "recovery=$1"\n')
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ADSTREAMS_", "MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-s", "-o", "setup", "run", f"BIN={tmp_path}", *arguments],
        cwd=ROOT,
        env=kept | {"STORE": "of another program"} | {f"ADSTREAMS_{key}": value for key, value in environment.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    settings = dict(line.removeprefix("ADSTREAMS_").split("=", 1) for line in done.stdout.splitlines())
    recovery = "-".join(["recovery", *(argument.split("=")[1] for argument in arguments)])
    assert settings == expected | {"recovery": recovery}
