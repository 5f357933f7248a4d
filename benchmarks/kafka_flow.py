"""The whole dataflow over a topic of Kafka: `python -m benchmarks.kafka_flow BROKERS TOPIC WARM EVENTS OUTPUT [off]`.

OUTPUT is `none` or `kafka`; recovery is on, with epochs of 10 s, unless it is `off`. Prints the events a second from
the first WARM ones to the clean end of the run, all acknowledged and the last epoch saved. The topic holds EVENTS.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from benchmarks.run_flow import NoStore, warm_up
from dataflow import build_flow, source_of, topics_of
from schemas.codec import Codec
from schemas.scored import ScoredRows
from settings import Settings, Source
from steps import ending
from steps.recovery import widen_pages
from tests.flow.running import make_recovery
from topics.client import Kafka

EPOCH = timedelta(seconds=10)


class Meter(NoStore):
    """Keeps nothing but the time at which `warm` rows had come, and asks the run to end once all `events` have."""

    def __init__(self, warm: int, events: int) -> None:
        self._warm, self._events, self._seen = warm, events, 0
        self.started = 0.0

    def write(self, rows: ScoredRows) -> None:
        """Count the rows."""
        self._seen += len(rows)
        if not self.started and self._seen >= self._warm:
            self.started = time.perf_counter()
        if self._seen >= self._events:
            ending.ask()


def new_recovery(path: Path) -> Path:
    """A recovery directory as the dataflow would have it."""
    widen_pages(make_recovery(path), [])
    return path


def take_in(brokers: str, topic: str, meter: Meter, recovery: Path | None, publishing: bool = False) -> None:
    """Run the flow until the meter has all rows."""
    settings = Settings(
        source=Source.KAFKA, kafka_brokers=(brokers,), kafka_topics=(topic,), model=Path("model/decay.json")
    )
    kafka, reading = Kafka(settings.kafka_brokers), Codec()
    read = kafka.require(settings.kafka_topics)
    topics = topics_of(settings, kafka, None, read[topic].partitions) if publishing else None
    source = source_of(settings, reading, kafka, read)
    flow = build_flow(source, settings.loaded_model, lambda: meter, settings, reading, topics)
    recovered = None if recovery is None else RecoveryConfig(recovery)
    cluster_main(flow, [], 0, recovery_config=recovered, epoch_interval=EPOCH)


def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    brokers, topic, warm, events, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    meter = Meter(warm, events)
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        recovery = None if sys.argv[6:] == ["off"] else new_recovery(Path(folder) / "recovery")
        take_in(brokers, topic, meter, recovery, output == "kafka")
        took = time.perf_counter() - meter.started
    print((events - warm) / took, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
