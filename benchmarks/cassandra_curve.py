"""Milliseconds to read a user's curve of 1,000 points: `python -m benchmarks.cassandra_curve PORT p50 | p99`.

The user is one of many, whose rows were written to Cassandra as they came; each question is about another user.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.logs import events
from model.bucket import Bucket
from model.scoring.propensity import Model
from model.timeline import Models
from schemas.events import USER_ID
from schemas.scored import ScoredRows
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.cassandra.writer import CassandraWriter

ROOT = Path(__file__).parent.parent
USERS, POINTS = 40, 1_000
QUESTIONS = 400


def write(writer: CassandraWriter) -> list[str]:
    """Write the users' curves, events of all of them mixed; returns the users."""
    model = Model.from_json((ROOT / "model" / "decay.json").read_bytes())
    models = Models(model)
    bucket, rng, everyone = Bucket(models.plan), np.random.default_rng(1), np.arange(USERS)
    for first in range(0, USERS * POINTS, 10 * USERS):
        order = np.concatenate([rng.permutation(everyone) for _ in range(10)])
        batch = events(order, first, rng)
        update = bucket.update(batch)
        scores, which = models.score(update.features, update.outcomes["timestamp"])
        advice = models.advise(update.features, scores, which, batch, update.outcomes["user_row"])
        writer.write(ScoredRows(batch, update.outcomes, scores, models.ids, which, update.rivals, advice))
        writer.push()
    writer.flush()
    return batch.texts(USER_ID)[:USERS]


def main() -> None:
    """Measure and print."""
    address = CassandraAddress(("127.0.0.1",), int(sys.argv[1]), "bench_curve")
    writer, reader, times = CassandraWriter(address), CassandraReader(address), list[float]()
    users = write(writer)
    for number in range(-QUESTIONS, QUESTIONS):  # a server that was just started compiles its own code
        began = time.perf_counter()
        points = reader.curve(users[number % USERS])
        if number >= 0:
            times.append(time.perf_counter() - began)
        if len(points) != POINTS:
            raise RuntimeError(f"{len(points)} points")
    print(1_000 * float(np.percentile(times, {"p50": 50, "p99": 99}[sys.argv[2]])))
    reader.close()
    writer.close()


if __name__ == "__main__":
    main()
