"""Kafka, Cassandra and a schema registry for development: `python -m tests.services`."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated, TextIO

import typer

from tests.services.artifacts import check_tools
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.services.ports import demand
from tests.services.problems import MissingTool, PortTaken, ServiceError
from tests.services.registry import Registry
from tests.services.server import Server
from tests.services.topics import TOPICS, make_missing

_KAFKA, _CASSANDRA, _REGISTRY = 9092, 9042, 8081
Port = Annotated[int, typer.Option(min=1, max=65_535)]


def main(
    kafka_port: Port = _KAFKA,
    cassandra_port: Port = _CASSANDRA,
    registry_port: Port = _REGISTRY,
    data: Annotated[Path, typer.Option(help="Folder for data and logs.")] = Path(".services"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the data of earlier runs first.")] = False,
) -> None:
    """Run Kafka, Cassandra and a schema registry on 127.0.0.1 until Ctrl-C; data stay for the next time."""
    kafka = Kafka(data / "kafka", kafka_port)
    cassandra = Cassandra(data / "cassandra", cassandra_port)
    registry = Registry(data / "registry", registry_port)
    servers: list[Server] = [kafka, cassandra, registry]
    asked = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    try:
        check_tools(frozenset({"kafka", "cassandra", "registry"}))
        for server in servers:
            demand(server.port, server.name)
        lock = _take(data)
    except (MissingTool, PortTaken, ServiceError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if fresh:
        for server in servers:
            shutil.rmtree(server.folder, ignore_errors=True)
    print("starting Kafka, Cassandra and a schema registry (the first time they are fetched) …", flush=True)
    with lock, ThreadPoolExecutor(len(servers)) as pool:
        code = _run(servers, pool, asked, lambda: _say(kafka, cassandra, registry, data))
    print("stopped", flush=True)
    sys.exit(code)


def _take(data: Path) -> TextIO:
    """Keep a second one from using the same folder."""
    data.mkdir(parents=True, exist_ok=True)
    lock = (data / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ServiceError(f"{data}: in use by another run of this command") from None
    return lock


def _run(servers: Sequence[Server], pool: ThreadPoolExecutor, asked: Event, ready: Callable[[], None]) -> int:
    """Start the servers, wait until somebody asks for the end or one of them ends, and stop them; the exit code."""
    starts = [pool.submit(server.start) for server in servers]
    code = 0
    told = False
    while not asked.wait(0.2):
        failures = [start.exception() for start in starts if start.done() and start.exception() is not None]
        gone = [server.name for server in servers if told and not server.running]
        if failures or gone:
            for line in [*map(str, failures), *(f"{name} ended by itself" for name in gone)]:
                print(line, file=sys.stderr)
            code = 1
            break
        if not told and all(start.done() for start in starts):
            ready()
            told = True
    if not told:
        for server in servers:
            server.give_up()
    list(pool.map(_stop, servers))
    return code


def _stop(server: Server) -> None:
    if server.running:
        server.stop()


def _say(kafka: Kafka, cassandra: Cassandra, registry: Registry, data: Path) -> None:
    make_missing(kafka)
    brokers = f"localhost:{kafka.port}"
    settings = [
        *([f"ADSTREAMS_KAFKA_BROKERS={brokers} "] if kafka.port != _KAFKA else []),
        *([f"ADSTREAMS_CASSANDRA_PORT={cassandra.port} "] if cassandra.port != _CASSANDRA else []),
    ]
    print(
        f"""
  Kafka            {brokers}, with the topics (and partitions) {", ".join(map(str, TOPICS))}
  Cassandra        localhost:{cassandra.port}
  Schema registry  {registry.url}

  The dataflow and the page:  {"".join(settings)}make run STORE=cassandra SOURCE=kafka
  Events to put in:           python -m jobs simulate --brokers {brokers}

  Data and logs are in {data}. Ctrl-C stops everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    typer.run(main)
