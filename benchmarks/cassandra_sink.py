"""Rows a second into Cassandra: `python -m benchmarks.cassandra_sink PORT ours | plain | json`.

The rows are those of the dataflow: events of 10,000 users through the sequences and the model, in 64 buckets. `ours`
writes them as the dataflow does. `plain` is the best loop that the driver's own means allow: prepared inserts of the
whole row and of where its user stands, in unlogged batches that keep a user's rows together, of several sizes and with
several numbers in flight, of which the fastest counts, as of `ours` the fastest of as many tries. `json` inserts one
row at a time, as JSON and without the second table, as the original system did.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement, BatchType

from benchmarks.logs import events
from model.bucket import Bucket
from model.scoring.propensity import Model
from model.timeline import Models
from schemas.avro.codec import Decoded
from schemas.event_types import TYPES
from schemas.events import TEXTS, EventBatch
from schemas.scored import ScoredRows
from steps.buckets import bucket_splitter
from stores.cassandra.address import CassandraAddress
from stores.cassandra.writer import CassandraWriter

ROOT = Path(__file__).parent.parent
USERS = 10_000
ROWS = 100_000
FETCHED = 10_000
JSON_ROWS = 2_000
BATCHES = ((20, 64), (40, 64), (40, 128))
"""Rows in a batch and batches in flight; the server refuses batches of more than about 50 rows."""
KEYSPACE = "bench"
_FULL = (
    "user_id", "event_time", "event_key", "event_id", "event_type", "state", "segment", "campaign", "publisher",
    "product", "quantity", "revenue", "propensity", "seen", "version", "model_id",
)  # fmt: skip
_LATEST = ("user_id", "event_time", "event_key", "event_type", "propensity", "seen", "version", "model_id")

Row = tuple[Any, ...]


def scored_batches() -> list[list[ScoredRows]]:
    """For each batch of events that is fetched, the rows of its buckets."""
    model = Model.from_json((ROOT / "model" / "decay.json").read_bytes())
    models, split = Models(model), bucket_splitter(64)
    rng, buckets = np.random.default_rng(1), dict[str, Bucket]()
    batches = []
    for first in range(0, ROWS, FETCHED):
        rows = []
        for key, batch in split(Decoded(events(rng.integers(0, USERS, FETCHED), first, rng), [])):
            assert isinstance(batch, EventBatch), "nobody is erased"
            update = buckets.setdefault(key, Bucket(models.plan)).update(batch)
            scores, which = models.score(update.features, update.outcomes["timestamp"])
            advice = models.advise(update.features, scores, which, batch, update.outcomes["user_row"])
            rows.append(ScoredRows(batch, update.outcomes, scores, models.ids, which, update.rivals, advice))
        batches.append(rows)
    return batches


def tuples_of(rows: ScoredRows) -> list[Row]:
    """Rows as a program has them that knows nothing of columns."""
    texts = [
        rows.events.texts(TEXTS.index(name), rows.outcomes["body_row"])
        for name in ("user_id", "event_id", *_FULL[5:10])
    ]
    bodies = rows.events.rows[rows.outcomes["body_row"]]
    columns = [
        texts[0], rows.outcomes["timestamp"].tolist(), rows.outcomes["event_key"].tolist(), texts[1],
        [TYPES[kind] for kind in rows.outcomes["type"].tolist()], *texts[2:], bodies["quantity"].tolist(),
        bodies["revenue"].tolist(), rows.propensities.tolist(), rows.outcomes["seen"].tolist(),
        rows.outcomes["version"].tolist(), [rows.models[number] for number in rows.model.tolist()],
    ]  # fmt: skip
    return list(zip(*columns, strict=True))


def ours(address: CassandraAddress, batches: list[list[ScoredRows]]) -> float:
    """Rows a second of the dataflow's writer."""
    writer = CassandraWriter(address)
    writer.write(batches[0][0])  # compiles
    writer.flush()
    began = time.perf_counter()
    for rows in batches:
        for each in rows:
            writer.write(each)
        writer.push()
    writer.flush()
    took = time.perf_counter() - began
    writer.close()
    return sum(len(each) for rows in batches for each in rows) / took


def plain(session: Session, batches: list[list[Row]], size: int, in_flight: int) -> float:
    """Rows a second of a loop over batches of about `size` rows."""
    marks = ", ".join("?" * len(_FULL))
    full = session.prepare(
        f"INSERT INTO {KEYSPACE}.propensity_by_user ({', '.join(_FULL)}) VALUES ({marks}) USING TIMESTAMP ?"
    )
    marks = ", ".join("?" * len(_LATEST))
    latest = session.prepare(
        f"INSERT INTO {KEYSPACE}.latest_propensity ({', '.join(_LATEST)}) VALUES ({marks}) USING TIMESTAMP ?"
    )
    free, failures = threading.Semaphore(in_flight), list[object]()

    def done(_: object) -> None:
        free.release()

    def failed(error: object) -> None:
        failures.append(error)
        free.release()

    began = time.perf_counter()
    for rows in batches:
        users = dict[str, list[Row]]()
        for row in rows:
            users.setdefault(row[0], []).append(row)
        for statements in _batches(users, size, full, latest):
            free.acquire()
            session.execute_async(statements, timeout=None).add_callbacks(done, failed)
    for _ in range(in_flight):
        free.acquire()
    took = time.perf_counter() - began
    if failures:
        raise RuntimeError(failures[0])
    return sum(map(len, batches)) / took


def _batches(users: dict[str, list[Row]], size: int, full: Any, latest: Any) -> Iterator[BatchStatement]:
    batch, held = BatchStatement(BatchType.UNLOGGED), 0
    for rows in users.values():
        for row in rows:
            batch.add(full, (*row, row[14]))
        last = rows[-1]
        batch.add(latest, (*last[:3], last[4], *last[12:], last[14]))
        held += len(rows)
        if held >= size:
            yield batch
            batch, held = BatchStatement(BatchType.UNLOGGED), 0
    if held:
        yield batch


def one_at_a_time(session: Session, rows: list[Row]) -> float:
    """Rows a second of `INSERT … JSON`, each acknowledged before the next."""
    began = time.perf_counter()
    for row in rows:
        values = dict(zip(_FULL, row, strict=True))
        values["event_time"] = datetime.fromtimestamp(row[1] / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
        session.execute(f"INSERT INTO {KEYSPACE}.propensity_by_user JSON %s", (json.dumps(values),))
    return len(rows) / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    address = CassandraAddress(("127.0.0.1",), int(sys.argv[1]), KEYSPACE)
    CassandraWriter(address).close()
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("datacenter1"))
    profile = ExecutionProfile(load_balancing_policy=policy, request_timeout=60)
    cluster = Cluster(["127.0.0.1"], address.port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    session = cluster.connect()
    batches = scored_batches()

    def emptied(measured: Callable[[], float]) -> float:
        for table in ("propensity_by_user", "latest_propensity"):
            session.execute(f"TRUNCATE {KEYSPACE}.{table}")
        return measured()

    emptied(lambda: ours(address, batches))  # a server that was just started compiles its own code
    if sys.argv[2] == "ours":
        print(max(emptied(lambda: ours(address, batches)) for _ in BATCHES))
    else:
        tuples = [[row for each in rows for row in tuples_of(each)] for rows in batches]
        if sys.argv[2] == "plain":
            print(max(emptied(lambda options=options: plain(session, tuples, *options)) for options in BATCHES))  # type: ignore[misc]
        else:
            print(
                emptied(lambda: one_at_a_time(session, list(islice((r for rows in tuples for r in rows), JSON_ROWS))))
            )
    cluster.shutdown()


if __name__ == "__main__":
    main()
