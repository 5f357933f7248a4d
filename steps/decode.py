"""Raw batches of any source -> valid events, and dead letters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from schemas.codec import Codec, Decoded
from schemas.columns import ColumnBatch, decode_columns
from schemas.messages import MessageBatch


def decoder(codec: Codec, max_skew: timedelta) -> Callable[[MessageBatch | ColumnBatch], Decoded]:
    """The step that turns a raw batch into valid events and dead letters; it never raises for what a batch holds."""

    def decode(batch: MessageBatch | ColumnBatch) -> Decoded:
        if isinstance(batch, MessageBatch):
            return codec.decode(batch, max_skew)
        return decode_columns(batch, max_skew)

    return decode
