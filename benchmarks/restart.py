"""From the start of a process to its first new score: `python -m benchmarks.restart USERS`.

A flow takes in four events of every user and ends cleanly; then a few more events come, and the flow is started again
on its recovery directory. Prints the seconds from that start to the first row that it scores, programs loaded included.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.fill_topic import fill, send
from benchmarks.kafka_flow import Measured, Meter, take_in
from benchmarks.logs import events
from benchmarks.run_flow import new_recovery
from tests.services.kafka import Kafka as Broker
from topics.client import Kafka

MORE = 1_000


def main() -> None:
    """Measure and print; with more arguments, be one of the two runs."""
    logging.disable(logging.CRITICAL)
    if len(sys.argv) > 2:
        brokers, directory, count = sys.argv[1:]
        meter = Meter(1, int(count))
        take_in(brokers, "bench", lambda: Measured(meter), Path(directory))
        print(meter.started, flush=True)
        os._exit(0)
    users = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, Broker(Path(name) / "kafka") as broker:
        kafka, recovery = Kafka([broker.brokers]), new_recovery(Path(name) / "recovery")
        fill(kafka, "bench", users, 4 * users)

        def program(count: int) -> float:
            command = [sys.executable, "-m", "benchmarks.restart", broker.brokers, str(recovery), str(count)]
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        program(4 * users)
        rng = np.random.default_rng(2)
        send(kafka, "bench", [events(rng.integers(0, users, MORE), 4 * users, rng)])
        began = time.perf_counter()  # counts from the machine's start, in every process
        print(program(MORE) - began)


if __name__ == "__main__":
    main()
