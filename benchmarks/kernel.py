"""The sequences alone: time an event by length of sequence, and bytes of memory a user.

Each is run in a process of its own: `python -m benchmarks.kernel length EVENTS | memory USERS EVENTS`.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.logs import events
from model.bucket import Bucket
from model.features.plan import FeaturePlan
from model.scoring.propensity import Model

USERS = 1_000
BATCH = 5_000
BUCKET_BATCH = 50_000 // 64
BUCKETS = 64


def plan() -> FeaturePlan:
    """The features of `model/decay.json`."""
    return FeaturePlan.of(Model.from_json(Path("model/decay.json").read_bytes()).features)


def nanoseconds(length: int) -> float:
    """Time of an in-order event, for `USERS` users who have `length` events each."""
    rng, users = np.random.default_rng(1), np.arange(USERS)
    bucket, sent = Bucket(plan()), 0
    for _ in range(length):
        bucket.update(events(rng.permutation(users), sent, rng))
        sent += USERS
    snapshot, times = bucket.snapshot(), []
    for _ in range(7):
        bucket = Bucket.restore(snapshot, plan())
        bucket.update(events(rng.permutation(users), sent, rng))  # room for what follows
        batch = events(np.tile(users, BATCH // USERS), sent + USERS, rng)
        started = time.perf_counter()
        bucket.update(batch)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) / BATCH * 1e9


def bytes_per_user(users: int, length: int) -> float:
    """Growth of the process for each of so many users who have `length` events each, in `BUCKETS` buckets."""
    rng = np.random.default_rng(1)
    features = plan()
    Bucket(features).update(events(np.arange(10), 0, rng))  # compile first
    before = _resident()
    buckets = [Bucket(features) for _ in range(BUCKETS)]
    sent = 0
    for _ in range(length):
        order = rng.permutation(users)
        for first in range(0, users, BUCKETS * BUCKET_BATCH):
            part = order[first : first + BUCKETS * BUCKET_BATCH]
            for number, bucket in enumerate(buckets):
                bucket.update(events(part[part % BUCKETS == number], sent, rng))
            sent += len(part)
    return (_resident() - before) / users


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    match sys.argv[1]:
        case "length":
            print(nanoseconds(int(sys.argv[2])))
        case "memory":
            print(bytes_per_user(int(sys.argv[2]), int(sys.argv[3])))
