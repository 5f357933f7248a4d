"""Raw batches of any source -> valid events, and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from schemas.avro.codec import Codec, Decoded
from schemas.logs.columns import ColumnBatch, decode_columns
from schemas.messages import MessageBatch
from steps.time_remarks import TimeRemarks

MOST_BYTES, MOST_BATCHES = 32 << 20, 1_000
"""Bytes after which no more is joined, and batches at the most."""


def _portions(batches: list[MessageBatch]) -> Iterator[list[MessageBatch]]:
    portion, held = list[MessageBatch](), 0
    for batch in batches:
        portion.append(batch)
        held += len(batch.data)
        if held >= MOST_BYTES or len(portion) == MOST_BATCHES:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion


def decoder(
    codec: Codec, max_skew: timedelta, settle: Callable[[Decoded], Decoded] = lambda decoded: decoded
) -> Callable[[list[MessageBatch | ColumnBatch]], list[Decoded]]:
    """The step that turns raw batches into valid events and dead letters; it never raises for what they hold.

    `settle` has the last word on what became of a batch.

    Messages that came at one time, of several partitions, become one batch: what follows costs by the batch.
    """
    remarks = TimeRemarks()

    def decode(batches: list[MessageBatch | ColumnBatch]) -> list[Decoded]:
        messages = [batch for batch in batches if isinstance(batch, MessageBatch)]
        decoded = [decode_columns(batch, max_skew) for batch in batches if isinstance(batch, ColumnBatch)]
        for some in _portions(messages):
            decoded.append(codec.decode(MessageBatch.join(some), max_skew))
            remarks.remark(decoded[-1])
        return [settle(each) for each in decoded]

    return decode
