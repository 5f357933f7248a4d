"""What a user might pick instead: built from benchmarks/peers, and the commands that measure it."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measuring import Side, pinned, run
from tests.services.artifacts import by_maven, cache_folder, java

SOURCES = Path(__file__).parent / "peers"
QUIX = "quixstreams==3.28.0"
_OPENS = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "nio", "time", "util")]
_HEAP = "-Xmx3g"
_MODEL, _SCHEMA = "model/decay.json", "schemas/event.avsc"
_numbers = itertools.count()


def built() -> Path:
    """The folder with the jars of each Java peer: built by Maven once, then kept in the user's cache folder."""
    digest = hashlib.sha256()
    for file in sorted([*SOURCES.rglob("*.java"), *SOURCES.rglob("pom.xml")]):
        digest.update(file.read_bytes())
    return by_maven(SOURCES / "pom.xml", "package", cache_folder() / "peers" / digest.hexdigest()[:16])


def quix_python() -> Path:
    """The Python of an environment with Quix Streams, which needs another client of Kafka than this project's."""
    folder = cache_folder() / "peers" / QUIX
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", QUIX, "fastavro"], check=True)
        (folder / "ready").touch()
    return python


def flink(brokers: str, topic: str, warm: int, to: str = "none", parallelism: int = 1, core: int | None = None) -> Side:
    """Flink with state on the heap and a checkpoint every 10 s."""

    def measured() -> float:
        with tempfile.TemporaryDirectory() as checkpoints:
            return run(
                *pinned(core), java(), _HEAP, *_OPENS, "-cp", f"{built()}/flink/*", "adstreams.peers.FlinkPeer",
                brokers, topic, warm, to, parallelism, _MODEL, _SCHEMA, Path(checkpoints).as_uri(),
            )  # fmt: skip

    return measured


def kafka_streams(
    brokers: str, topic: str, warm: int, events: int, to: str, threads: int = 1, core: int | None = None
) -> Side:
    """Kafka Streams with a changelog, under another name each time: it would go on where it was."""

    def measured() -> float:
        application = f"peer-{os.getpid()}-{next(_numbers)}"
        with tempfile.TemporaryDirectory() as state:
            return run(
                *pinned(core), java(), _HEAP, "-cp", f"{built()}/kafka_streams/*", "adstreams.peers.KafkaStreamsPeer",
                brokers, topic, warm, to, threads, _MODEL, _SCHEMA, state, events, application,
            )  # fmt: skip

    return measured


def quix(brokers: str, topic: str, warm: int, events: int) -> Side:
    """Quix Streams with a changelog."""
    return partial(run, quix_python(), SOURCES / "quix_peer.py", brokers, topic, warm, events, _MODEL, _SCHEMA)
