"""How much goes wrong: a short form for every run of the tests, a long one for `make test-faults`.

Each draws its moments from a seed, which the head of the run and every failure tell; `FAULTS_SEED` gives it back.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from tests.flow.exactness import MODEL
from tests.flow.streaming import Stream
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka

LONG = os.environ.get("FAULTS") == "long"
SEED = int(os.environ.get("FAULTS_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 7))


@dataclass(frozen=True)
class Amount:
    """How much of each kind of fault a run has."""

    kills: int
    mutations: int
    away: float
    """Seconds without Cassandra."""
    brokerless: float
    """Seconds without Kafka."""
    flips: int
    """Bits of a recovery directory, one at a time."""
    worlds: int
    """Orders of all that may happen."""
    fuzzing: int
    """Seconds of it."""
    slow_epochs: int
    """Epochs saved while Cassandra is slow."""


def pytest_report_header() -> str:
    return f"faults: {'long' if LONG else 'short'} form, FAULTS_SEED={SEED}"


@pytest.fixture(scope="session")
def amount() -> Amount:
    if LONG:
        return Amount(200, 1_000_000, 120, 60, 5_000, 1_000, 600, 10)
    return Amount(8, 100_000, 5, 5, 300, 50, 6, 2)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws the same in every run of a seed, each test for itself."""
    print(f"FAULTS_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def stream(kafka: Kafka) -> Stream:
    return Stream(kafka.brokers)


@pytest.fixture
def settings(stream: Stream, cassandra: Cassandra, keyspace: str) -> dict[str, object]:
    return stream.settings | {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": cassandra.port,
        "cassandra_keyspace": keyspace, "model": MODEL,
    }  # fmt: skip
