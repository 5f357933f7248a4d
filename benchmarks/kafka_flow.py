"""The whole dataflow over a topic of Kafka: `python -m benchmarks.kafka_flow BROKERS TOPIC WARM EVENTS OUTPUT [off]`.

OUTPUT is `none`, `kafka` or `cassandra:PORT`; recovery is on, with epochs of 10 s, unless it is `off`. Prints the
events a second from the first WARM ones to the clean end of the run, all acknowledged and the last epoch saved. The
topic holds EVENTS.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main, run_main

from benchmarks.logs import write_log
from benchmarks.run_flow import NoStore
from dataflow import build_flow, source_of, topics_of
from schemas.codec import Codec
from schemas.scored import ScoredRows
from settings import Settings
from steps import ending
from steps.recovery import widen_pages
from steps.sources.file import FileSource
from stores.base import Writer
from stores.choosing import writer_of
from topics.client import Kafka

EPOCH = timedelta(seconds=10)


class Meter:
    """Counts the rows that pass, and asks the run to end once all have."""

    def __init__(self, warm: int, events: int) -> None:
        self._warm, self._events, self._seen = warm, events, 0
        self.started = 0.0

    def over(self, store: Writer) -> Writer:
        """A store that is counted into."""
        write = store.write

        def count(rows: ScoredRows) -> None:
            write(rows)
            self._seen += len(rows)
            if not self.started and self._seen >= self._warm:
                self.started = time.perf_counter()
            if self._seen >= self._events:
                ending.ask()

        store.write = count  # type: ignore[method-assign]
        return store


def settings_for(brokers: str, topic: str, output: str) -> Settings:
    """The settings of a run."""
    store, _, port = output.partition(":")
    chosen = {"store": "cassandra", "cassandra_port": int(port)} if store == "cassandra" else {}
    return Settings(source="kafka", kafka_brokers=brokers, kafka_topics=topic, model=Path("model/decay.json"), **chosen)  # type: ignore[arg-type]


def warm_up(settings: Settings, folder: Path) -> None:
    """Load what is compiled: a small log through the same flow."""
    write_log(folder / "warm.parquet", 100, 2_000)
    run_main(build_flow(FileSource(folder / "warm.parquet"), settings.loaded_model, NoStore, settings))


def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    brokers, topic, warm, events, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    settings = settings_for(brokers, topic, output)
    kafka, reading = Kafka(settings.kafka_brokers, settings.kafka_config), Codec()
    read = kafka.require(settings.kafka_topics)
    topics = topics_of(settings, kafka, None, read[topic].partitions) if output == "kafka" else None
    open_writer: Callable[[], Writer] = writer_of(settings, True) if output.startswith("cassandra") else NoStore
    meter = Meter(warm, events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm_up(settings, folder)
        recovery = folder / "recovery"
        recovery.mkdir()
        init_db_dir(recovery, 1)
        widen_pages(recovery, [])
        flow = build_flow(
            source_of(settings, reading, kafka, read), settings.loaded_model, lambda: meter.over(open_writer()),
            settings, reading, topics,
        )  # fmt: skip
        recovered = None if sys.argv[6:] == ["off"] else RecoveryConfig(recovery)
        cluster_main(flow, [], 0, recovery_config=recovered, epoch_interval=EPOCH)
        took = time.perf_counter() - meter.started
    print((events - warm) / took, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
