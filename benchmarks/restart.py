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
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from benchmarks.fill_topic import fill, send
from benchmarks.kafka_flow import EPOCH, Meter, settings_for
from benchmarks.logs import events
from benchmarks.run_flow import NoStore
from dataflow import build_flow, source_of
from schemas.codec import Codec
from steps.recovery import widen_pages
from tests.services.kafka import Kafka as Broker
from topics.client import Kafka

MORE = 1_000


def take_in(brokers: str, recovery: Path, count: int) -> float:
    """Run a flow until it has scored so many rows; returns the time of the first."""
    settings = settings_for(brokers, "bench", "none")
    kafka, reading, meter = Kafka(settings.kafka_brokers), Codec(), Meter(1, count)
    source = source_of(settings, reading, kafka, kafka.require(settings.kafka_topics))
    flow = build_flow(source, settings.loaded_model, lambda: meter.over(NoStore()), settings, reading)
    cluster_main(flow, [], 0, recovery_config=RecoveryConfig(recovery), epoch_interval=EPOCH)
    return meter.started


def main() -> None:
    """Measure and print; with more arguments, be one of the two runs."""
    logging.disable(logging.CRITICAL)
    if len(sys.argv) > 2:
        brokers, directory, count = sys.argv[1:]
        print(take_in(brokers, Path(directory), int(count)), flush=True)
        os._exit(0)
    users = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, Broker(Path(name) / "kafka") as broker:
        kafka, recovery = Kafka([broker.brokers]), Path(name) / "recovery"
        recovery.mkdir()
        init_db_dir(recovery, 1)
        widen_pages(recovery, [])
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
