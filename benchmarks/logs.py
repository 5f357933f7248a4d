"""Made logs to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import EventBatch, fill_hashes
from schemas.logs.columns import TextColumn, pack
from schemas.logs.log_writer import LogWriter

START = 1_500_000_000_000
TYPE_SHARES = (0.80, 0.12, 0.06, 0.02)
CHUNK = 100_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def hexadecimal(numbers: NDArray[np.int64], digits: int) -> TextColumn:
    """Numbers as texts of so many hexadecimal digits."""
    places = (numbers[:, None] >> np.arange(4 * (digits - 1), -1, -4)) & 15
    start = np.arange(len(numbers), dtype=np.int64) * digits
    return TextColumn(_HEX[places].ravel(), start, start + digits)


def events(users: NDArray[np.int64], first: int, rng: np.random.Generator, spacing: int = 50) -> EventBatch:
    """Events of the given users (numbers), one every `spacing` ms from the `first` on."""
    number = first + np.arange(len(users), dtype=np.int64)
    numbers: dict[str, NDArray[Any]] = {
        "offset": number,
        "timestamp": START + number * spacing,
        "type": rng.choice(4, len(users), p=TYPE_SHARES).astype(np.uint8),
        "quantity": np.zeros(len(users), np.int32),
        "revenue": np.zeros(len(users)),
    }
    batch = pack("bench", 0, numbers, {"event_id": hexadecimal(number, 12), "user_id": hexadecimal(users, 14)})
    fill_hashes(batch.rows, batch.data)
    return batch


def some_users(rng: np.random.Generator, users: int, count: int, one: float = 0.0) -> NDArray[np.int64]:
    """A random one of `users` (numbers) for each event, but for a share `one` of them that is the first user's."""
    chosen = rng.integers(0, users, count)
    if one:
        chosen[rng.random(count) < one] = 0
    return chosen


def write_log(path: Path, users: int, count: int, seed: int = 1, late: float = 0.0, one: float = 0.0) -> None:
    """A Parquet log of `count` events in time order, each of a random one of `users`.

    A share of them is `late`: they say that they happened up to an hour before. A share `one` is of one user.
    """
    rng = np.random.default_rng(seed)
    with LogWriter(path) as log:
        for first in range(0, count, CHUNK):
            batch = events(some_users(rng, users, min(CHUNK, count - first), one), first, rng)
            if late:
                chosen = rng.random(len(batch)) < late
                batch.rows["timestamp"][chosen] -= rng.integers(0, 3_600_000, np.count_nonzero(chosen))
            log.write(batch)
