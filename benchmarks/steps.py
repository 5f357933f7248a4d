"""Where the time of an event goes between Kafka and the outputs: `python -m benchmarks.steps USERS EVENTS BATCH`.

Runs the dataflow's own functions on made messages, one after the other and without Bytewax, and prints the ns an event
that each takes; those of the second half count, in which few users are new. What is indented is part of what is above.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import model.bucket
from benchmarks.logs import events
from model.bucket import Bucket
from model.timeline import Models
from schemas.avro.codec import codec
from schemas.avro.propensity_codec import PropensityCodec
from schemas.events import EventBatch
from schemas.messages import MessageBatch, pieces
from schemas.scored import ScoredRows
from settings import Settings
from steps.buckets import bucket_splitter
from stores.cassandra.row_encoding import Heads, Lifetime
from stores.cassandra.row_encoding import encode as encode_statements

PARTS = {
    "_make_room": "  grow tables",
    "intern_rows": "  find users",
    "group_rows": "  group by user",
    "_make_room_for_entries": "  grow sequences",
    "merge": "  merge",
    "emit": "  features",
}
"""What `Bucket.update` calls."""


class Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)

    def time(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time noted."""

        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given)
            finally:
                self.seconds[step] += time.perf_counter() - began

        return timed


def main() -> None:
    """Measure and print."""
    users, count, size = map(int, sys.argv[1:])
    settings, clock, rng = Settings(model=Path("model/decay.json")), Clock(), np.random.default_rng(1)
    models = Models(settings.loaded_model, actions=settings.loaded_actions)
    publish, skew = PropensityCodec(), timedelta(hours=1)
    heads, buckets = Heads(*[np.zeros(20, np.uint8)] * 5), dict[str, Bucket]()
    encoding = ["encode for Kafka", "encode for Cassandra"]
    order = ["decode", "buckets", "update", *PARTS.values(), "score", "advise", *encoding]
    for name, step in PARTS.items():
        owner = Bucket if name.startswith("_") else model.bucket
        setattr(owner, name, clock.time(step, getattr(owner, name)))
    decode, split = clock.time("decode", codec().decode), clock.time("buckets", bucket_splitter(settings.buckets))
    update, score = clock.time("update", Bucket.update), clock.time("score", models.score)
    advise = clock.time("advise", models.advise)
    to_kafka = clock.time("encode for Kafka", lambda rows: (publish.keys(rows), publish.encode(rows)))
    to_cassandra = clock.time(
        "encode for Cassandra", lambda rows: list(encode_statements(rows, heads, Lifetime(0, 0, 0)))
    )
    for first in range(0, count, size):
        if first == count // 2 // size * size:
            clock.seconds.clear()
        made = codec().encode(events(rng.integers(0, users, size), first, rng))
        for bucket, part in split(decode(MessageBatch.of("made", 0, first, pieces(*made)), skew)):
            assert isinstance(part, EventBatch), "nobody is erased"
            done = update(buckets.setdefault(bucket, Bucket(models.plan)), part)
            scores, which = score(done.features, done.outcomes["timestamp"])
            advice = advise(done.features, scores, which, part, done.outcomes["user_row"])
            rows = ScoredRows(part, done.outcomes, scores, models.ids, which, done.rivals, advice)
            to_kafka(rows)
            to_cassandra(rows)
    counted = -(-count // size) * size - count // 2 // size * size
    for step in order:
        print(f"{step:24}{clock.seconds[step] / counted * 1e9:8,.0f} ns")


if __name__ == "__main__":
    main()
