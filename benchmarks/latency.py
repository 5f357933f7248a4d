"""From produced to readable in Cassandra, with everything on one machine: `python -m benchmarks.latency RATE…`.

A flow reads two topics that a simulator fills at a rate. Beside it single events of users of their own are produced,
and each is asked for until Cassandra has it. At the same time messages go the shortest way that there is, to a
consumer that writes a row for each as it comes: what those take is the part of the servers and of a machine that the
flow works on.

The next event is produced when the one before is there, so that of two long waits in a row only one counts.
Prints, for each rate, the rate and for either way the 50th and 99th percentile in ms and the number of events.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from cassandra.cluster import Session
from confluent_kafka import TopicPartition

from schemas.avro.codec import codec
from schemas.events import Event
from settings import load_settings
from stores.store_registry import reader_of
from tests.flow.running import make_recovery
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka as Broker
from topics.client import Kafka
from topics.publisher import Publisher

WARM, MEASURED = 60.0, 120.0
"""Seconds of load before those that count, in which servers compile what they need, and of those."""
USERS = "200000"
PATIENCE = 180.0
"""Seconds to wait for one row."""
LOOK = 0.003
"""Seconds between two questions for a row: so much later than it is there it may be seen."""

Way = tuple[Callable[[str], None], Callable[[str], bool]]
"""Sends something under a name, and says whether it is readable."""


def taken(way: Way) -> float:
    """The ms that one takes."""
    send, arrived = way
    name = f"probe-{time.time_ns()}"
    began = time.perf_counter()
    send(name)
    while not arrived(name):
        if time.perf_counter() - began > PATIENCE:
            raise TimeoutError(f"no row after {PATIENCE:.0f} s: did the flow end?")
        time.sleep(LOOK)
    return (time.perf_counter() - began) * 1000


def measure(ways: list[Way], seconds: float) -> list[list[float]]:
    """The ms that each way took, again and again; one way does not wait for the other."""
    end = time.monotonic() + seconds

    def times(way: Way) -> list[float]:
        found = list[float]()
        while time.monotonic() < end:
            found.append(taken(way))
            time.sleep(random.uniform(0.02, 0.1))  # not in step with anything
        return found

    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(times, ways))


def through_the_flow(stack: ExitStack, kafka: Kafka) -> Way:
    """An event, until its user has a score."""
    reader, publisher = reader_of(load_settings())(), Publisher(kafka, "events")
    stack.callback(reader.close)
    start = load_settings().simulator_start_time

    def send(name: str) -> None:
        publisher.send([name.encode()], [codec().encode_one(Event(name, name, start, "CL"))])

    return send, lambda name: bool(reader.latest([name]))


def the_shortest(stack: ExitStack, kafka: Kafka, session: Session) -> Way:
    """A message, until its row is there."""
    session.execute("CREATE KEYSPACE shortest WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    session.execute("CREATE TABLE shortest.rows (name text PRIMARY KEY)")
    insert = session.prepare("INSERT INTO shortest.rows (name) VALUES (?)")
    select = session.prepare("SELECT name FROM shortest.rows WHERE name = ?")
    kafka.make("shortest", 1)
    consumer, publisher, over = kafka.consumer({}), Publisher(kafka, "shortest"), threading.Event()
    consumer.assign([TopicPartition("shortest", 0, 0)])

    def write() -> None:
        while not over.is_set():
            message = consumer.poll(0.5)
            if message is not None and (name := message.value()) is not None and message.error() is None:
                session.execute(insert, (name.decode(),))
        consumer.close()

    thread = threading.Thread(target=write)
    thread.start()
    stack.callback(thread.join)
    stack.callback(over.set)
    return (
        lambda name: publisher.send([name.encode()], [name.encode()]),
        lambda name: session.execute(select, (name,)).one() is not None,
    )


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
        recovery = make_recovery(folder / "recovery")
        stack.enter_context(program("bytewax.run", "dataflow", "-r", str(recovery), "-s", "10", "-b", "0"))
        ways = [
            through_the_flow(stack, kafka),
            the_shortest(stack, kafka, stack.enter_context(cassandra.session())),
        ]
        measure(ways, 1.0)
        for seed, rate in enumerate(sys.argv[1:]):
            load = ["--rate", rate, "--events", "0", "--users", USERS, "--seed", str(seed)]
            with program("jobs", "simulate", "--brokers", broker.brokers, *load):
                measure(ways, WARM)
                found = measure(ways, MEASURED)
            figures = [(*np.percentile(times, (50, 99)), len(times)) for times in found]
            print(rate, *(f"{value:.0f}" for way in figures for value in way), flush=True)


if __name__ == "__main__":
    main()
