"""Dead letters -> events: decoded and validated again, by the schemas and the rules as they are now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.avro.codec import Codec, Decoded
from schemas.dead_letters import DeadLetter
from schemas.erasures import row_of
from schemas.events import EventBatch
from schemas.logs.columns import OPTIONAL, REQUIRED, ColumnBatch, decode_columns
from schemas.messages import MessageBatch

FATES = frozenset({"too_late", "disputed"})
"""Reasons of letters that are valid events, and would only die again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of letters: those that are events now, with their events in the same order, and those still bad.

    A bad letter has the reason that it has now.
    """

    letters: list[DeadLetter]
    events: list[EventBatch]
    bad: list[DeadLetter]


class Mender:
    """Decodes letters that are messages, and those that are rows of a file, as the dataflow does."""

    def __init__(self, codec: Codec, max_skew: timedelta) -> None:
        self._codec, self._max_skew = codec, max_skew

    def mend(self, letters: Sequence[DeadLetter]) -> Mended:
        """Decode and validate letters again; those of messages as if they were sent now."""
        messages, mended = list[DeadLetter](), Mended([], [], [])
        rows, values = list[DeadLetter](), list[dict[str, Any]]()
        for letter in letters:
            row = row_of(letter)
            if row is None and letter.reason != "wrong_shape":
                messages.append(letter)
            elif row is not None and letter.reason != "not_utf8":
                rows.append(letter)
                values.append(row)
            else:  # what a line without columns meant, and bytes that are no text, are not in the letter
                mended.bad.append(letter)
        if messages:
            _sort(messages, self._decode(messages), mended)
        if rows:
            batch = ColumnBatch("", np.arange(len(rows)), _columns(values), [], len(rows))
            _sort(rows, decode_columns(batch, self._max_skew), mended)
        return mended

    def _decode(self, letters: Sequence[DeadLetter]) -> Decoded:
        batch = MessageBatch.of("", 0, 0, [letter.payload for letter in letters])
        now = np.full(len(batch), time.time_ns() // 1_000_000)
        return self._codec.decode(replace(batch, times=now), self._max_skew)


def _sort(letters: Sequence[DeadLetter], decoded: Decoded, mended: Mended) -> None:
    """Tell the good letters, whose offsets in the batch are their places in the list, from the bad."""
    mended.letters.extend(letters[place] for place in decoded.events.rows["offset"].tolist())
    mended.events.append(decoded.events)
    for problem in decoded.letters:
        mended.bad.append(replace(letters[problem.offset], reason=problem.reason, detail=problem.detail))


def _columns(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as columns of text, which the validator reads as it reads those of a CSV."""
    held = set().union(*rows)
    names = [*REQUIRED, *(name for name in OPTIONAL if name in held)]
    texts = [pa.array([_text(name, row.get(name)) for row in rows], pa.large_string()) for name in names]
    return pa.RecordBatch.from_arrays(texts, names)


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return _in_ms(value) if name == "timestamp" and value is not None else value
    if isinstance(value, float) and value.is_integer() and name != "revenue":
        value = int(value)
    return str(value)


def _in_ms(text: str) -> str:
    """A time that was written out, as whole ms since 1970; any other text as it is."""
    if text.isdecimal():
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return str((moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1))
