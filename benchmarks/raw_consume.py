"""The limit that reading alone sets: `python -m benchmarks.raw_consume BROKERS TOPIC WARM EVENTS [BACKOFF]`.

A bare loop of the client that takes every message's bytes and does nothing with them. Prints messages a second, of
those after the first WARM. BACKOFF is `fetch.queue.backoff.ms`: how long the client fetches nothing once it has enough.
"""

from __future__ import annotations

import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


def main() -> None:
    """Measure and print."""
    brokers, topic, warm, events = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "raw",
            "enable.auto.commit": False,
            "queued.min.messages": 200_000,
            "fetch.queue.backoff.ms": int((sys.argv[5:] or ["1000"])[0]),
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    seen, started, before = 0, 0.0, 0
    while seen < events:
        values = [message.value() for message in consumer.consume(1_000, 0.1)]
        seen += len(values)
        if not started and seen >= warm:
            started, before = time.perf_counter(), seen
    print((seen - before) / (time.perf_counter() - started))
    consumer.close()


if __name__ == "__main__":
    main()
