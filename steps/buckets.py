"""Valid events -> one batch for each bucket of users, the key of all that follows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from schemas.avro.codec import Decoded
from schemas.compiled.compiling import compiled
from schemas.erasures import Erasure
from schemas.events import ROW, EventBatch

_UPPER = np.uint64(40)
"""Buckets come from a hash's upper bits: a bucket's text table uses the lower ones."""


@compiled
def _split(rows, buckets, out_rows, edges):
    """Copy the rows (n) into `out_rows` (n), bucket by bucket; `edges` (buckets + 1) gets where each bucket begins."""
    bucket_of = np.empty(len(rows), np.int64)
    edges[:] = 0
    for row in range(len(rows)):
        bucket_of[row] = (rows[row].user_hash >> _UPPER) % np.uint64(buckets)
        edges[bucket_of[row] + 1] += 1
    for bucket in range(buckets):
        edges[bucket + 1] += edges[bucket]
    filled = edges[:-1].copy()
    for row in range(len(rows)):
        out_rows[filled[bucket_of[row]]] = rows[row]
        filled[bucket_of[row]] += 1


def bucket_of(user_hash: int, buckets: int) -> int:
    """The bucket of a user, by the signed hash."""
    return int((user_hash % 2**64 >> int(_UPPER)) % buckets)


def bucket_splitter(buckets: int) -> Callable[[Decoded], list[tuple[str, EventBatch | list[Erasure]]]]:
    """The step that keys a batch's events by bucket: a stable hash of the user, the same in every process.

    Within a bucket, events stay in the order in which they came. The bytes stay where they are, shared by all buckets.
    Requests to erase go ahead of the events that came with them: those of later times stay then.
    """
    keys = [str(bucket) for bucket in range(buckets)]

    def split(decoded: Decoded) -> list[tuple[str, EventBatch | list[Erasure]]]:
        batch = decoded.events
        requests = defaultdict[str, list[Erasure]](list)
        for each in decoded.requests:
            requests[keys[bucket_of(each.user_hash, buckets)]].append(each)
        out: list[tuple[str, EventBatch | list[Erasure]]] = list(requests.items())
        if not len(batch):
            return out
        rows, edges = np.empty(len(batch), ROW), np.empty(buckets + 1, np.int64)
        _split(batch.rows, buckets, rows, edges)
        at = edges.tolist()
        out += [
            (keys[bucket], EventBatch(batch.origins, rows[at[bucket] : at[bucket + 1]], batch.data))
            for bucket in np.flatnonzero(np.diff(edges)).tolist()
        ]
        return out

    return split
