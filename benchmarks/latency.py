"""From produced to readable in Cassandra, with everything on one machine: `python -m benchmarks.latency RATE…`.

A flow reads two topics that a simulator fills at a rate. Beside it single events of users of their own are produced,
and each is asked for until Cassandra has it. Prints, for each rate, the rate and the 50th and 99th percentile in ms.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from schemas.codec import codec
from schemas.events import Event
from settings import load_settings
from stores.base import Reader
from stores.choosing import reader_of
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka as Broker
from topics.client import Kafka
from topics.publisher import Publisher

PROBES = 1_000
USERS = "200000"
WARM = 100
"""Probes before those that count: what is compiled and opened at first use is not measured."""


def latencies(reader: Reader, publisher: Publisher, count: int) -> list[float]:
    """The ms that each of so many events took, one after another."""
    taken, start = [], load_settings().simulator_start_time
    for number in range(count):
        user = f"probe-{time.time_ns()}"
        payload = codec().encode_one(Event(f"p{number}", user, start, "CL"))
        began = time.perf_counter()
        publisher.send([user.encode()], [payload])
        while not reader.latest([user]):
            time.sleep(0.001)
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(random.uniform(0.005, 0.03))  # not in step with anything
    return taken


@contextmanager
def program(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of this project while the block runs."""
    running = subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Broker(folder / "kafka"))
        cassandra = stack.enter_context(Cassandra(folder / "cassandra"))
        os.environ |= {
            "ADSTREAMS_SOURCE": "kafka",
            "ADSTREAMS_KAFKA_BROKERS": broker.brokers,
            "ADSTREAMS_STORE": "cassandra",
            "ADSTREAMS_CASSANDRA_HOSTS": cassandra.host,
            "ADSTREAMS_CASSANDRA_PORT": str(cassandra.port),
            "ADSTREAMS_MODEL": "model/decay.json",
        }
        kafka = Kafka([broker.brokers])
        kafka.make("events", 4)
        kafka.make("conversions", 2)
        recovery = folder / "recovery"
        recovery.mkdir()
        subprocess.run([sys.executable, "-m", "bytewax.recovery", str(recovery), "2"], check=True)
        stack.enter_context(program("bytewax.run", "dataflow", "-r", str(recovery), "-s", "10", "-b", "0"))
        reader = reader_of(load_settings())()
        stack.callback(reader.close)
        publisher = Publisher(kafka, "events")
        latencies(reader, publisher, WARM)
        for rate in sys.argv[1:]:
            with program(
                "jobs", "simulate", "--brokers", broker.brokers, "--rate", rate, "--events", "0", "--users", USERS
            ):
                latencies(reader, publisher, WARM)
                p50, p99 = np.percentile(latencies(reader, publisher, PROBES), [50, 99])
            print(rate, f"{p50:.0f}", f"{p99:.0f}", flush=True)


if __name__ == "__main__":
    main()
