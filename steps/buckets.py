"""Valid events -> one batch for each bucket of users, the key of all that follows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from schemas.codec import Decoded
from schemas.compiling import compiled
from schemas.events import ROW, EventBatch, gather_into

_UPPER = np.uint64(40)
"""Buckets come from a hash's upper bits: a bucket's text table uses the lower ones."""


@compiled
def _split(rows, data, buckets, out_rows, out_data, row_edges, byte_edges):
    bucket_of = np.empty(len(rows), np.int64)
    row_edges[:] = 0
    for row in range(len(rows)):
        bucket_of[row] = (rows[row].user_hash >> _UPPER) % np.uint64(buckets)
        row_edges[bucket_of[row] + 1] += 1
    for bucket in range(buckets):
        row_edges[bucket + 1] += row_edges[bucket]
    order, filled = np.empty(len(rows), np.int64), row_edges[:-1].copy()
    for row in range(len(rows)):
        order[filled[bucket_of[row]]] = row
        filled[bucket_of[row]] += 1
    byte_edges[0] = 0
    for bucket in range(buckets):
        low, high, base = row_edges[bucket], row_edges[bucket + 1], byte_edges[bucket]
        used = gather_into(rows, data, order[low:high], out_rows[low:high], out_data[base:], 0)
        byte_edges[bucket + 1] = base + used


def bucket_splitter(buckets: int) -> Callable[[Decoded], list[tuple[str, EventBatch]]]:
    """The step that keys a batch's events by bucket: a stable hash of the user, the same in every process.

    Within a bucket, events stay in the order in which they came.
    """
    keys = [str(bucket) for bucket in range(buckets)]

    def split(decoded: Decoded) -> list[tuple[str, EventBatch]]:
        batch = decoded.events
        if not len(batch):
            return []
        size = int((batch.rows["stop"] - batch.rows["start"]).sum())
        size += int((batch.rows["payload_stop"] - batch.rows["payload_start"]).sum())
        rows, data = np.empty(len(batch), ROW), np.empty(size, np.uint8)
        row_edges, byte_edges = np.empty(buckets + 1, np.int64), np.empty(buckets + 1, np.int64)
        _split(batch.rows, batch.data, buckets, rows, data, row_edges, byte_edges)
        row_at, byte_at = row_edges.tolist(), byte_edges.tolist()
        return [
            (
                keys[bucket],
                EventBatch(
                    batch.source,
                    batch.partition,
                    rows[row_at[bucket] : row_at[bucket + 1]],
                    data[byte_at[bucket] : byte_at[bucket + 1]],
                ),
            )
            for bucket in np.flatnonzero(np.diff(row_edges)).tolist()
        ]

    return split
