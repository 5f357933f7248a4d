"""The whole dataflow over a topic of Kafka: `python -m benchmarks.kafka_flow BROKERS TOPIC WARM EVENTS OUTPUT [off]`.

OUTPUT is `none`, `kafka`, or the port of a Cassandra on this machine, in which a keyspace is made for the run. Recovery
is on, with epochs of 10 s, unless it is `off`. Prints the events a second from the first WARM ones to the clean end of
the run, all acknowledged and the last epoch saved. The topic holds EVENTS.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from benchmarks.run_flow import NoRows, new_recovery, warm_up
from dataflow import build_flow
from schemas.avro.codec import Codec
from schemas.scored import ScoredRows
from settings import Settings, Source
from startup import source_of, topics_of
from steps.flow_parts import parts_of
from steps.process import ending
from stores.base import Writer
from stores.cassandra.address import CassandraAddress
from stores.cassandra.writer import CassandraWriter
from topics.client import Kafka

EPOCH = timedelta(seconds=10)


class Meter:
    """Notes when `warm` rows had come, and asks the run to end once all `events` have."""

    def __init__(self, warm: int, events: int) -> None:
        self._warm, self._events, self._seen = warm, events, 0
        self.started = 0.0

    def count(self, rows: ScoredRows) -> None:
        """Count the rows."""
        self._seen += len(rows)
        if not self.started and self._seen >= self._warm:
            self.started = time.perf_counter()
        if self._seen >= self._events:
            ending.ask()


class Measured(NoRows):
    """Keeps nothing."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def write(self, rows: ScoredRows) -> None:
        """Count the rows."""
        self._meter.count(rows)


class MeasuredCassandra(CassandraWriter):
    """Keeps all."""

    def __init__(self, meter: Meter, port: int) -> None:
        super().__init__(CassandraAddress(("127.0.0.1",), port, f"flow_{os.getpid()}"))
        self._meter = meter

    def write(self, rows: ScoredRows) -> None:
        """Count the rows, and write them."""
        self._meter.count(rows)
        super().write(rows)


def take_in(
    brokers: str, topic: str, open_writer: Callable[[], Writer], recovery: Path | None, publishing: bool = False
) -> None:
    """Run the flow until it is asked to end."""
    settings = Settings(
        source=Source.KAFKA, kafka_brokers=(brokers,), kafka_topics=(topic,), model=Path("model/decay.json")
    )
    kafka, reading = Kafka(settings.kafka_brokers), Codec()
    read = kafka.require(settings.kafka_topics)
    topics = topics_of(settings, kafka, None, read[topic].partitions) if publishing else None
    source = source_of(settings, reading, kafka, read)
    flow = build_flow(source, parts_of(settings.loaded_model, open_writer, settings, reading, topics))
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
        open_writer = partial(MeasuredCassandra, meter, int(output)) if output.isdecimal() else partial(Measured, meter)
        take_in(brokers, topic, open_writer, recovery, output == "kafka")
        took = time.perf_counter() - meter.started
    print((events - warm) / took, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
