"""What a store holds of users, as the log that it was: their sequences, their orders and their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from jobs.training.logs import Log
from jobs.training.training_rows import mixed
from model.replay import Moments, Replay
from schemas.event_types import IS_CONVERSION, RANK
from stores.base import Reader

USERS = 1_000
"""Users that are read at once."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Some users' stored events and scores.

    Shapes: `propensities` and `models` (n) by event of `log.replay`, right after it and by which model, an index into
    `model_ids`; `whole` (users) whether all events of the user are still stored, from the first one on.
    """

    log: Log
    propensities: NDArray[np.float64]
    models: NDArray[np.int64]
    model_ids: tuple[str, ...]
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, reader: Reader, user_ids: Sequence[str], most: int = 0) -> Stored | None:
        """What is stored of the users, of whom those with more than `most` events a day are automated; or None."""
        found = [(user, rows) for user, rows in zip(user_ids, reader.scores(user_ids), strict=True) if rows]
        if not found:
            return None
        times, keys, kinds, campaigns, revenues, propensities, seen, models = zip(
            *chain.from_iterable(rows for _, rows in found), strict=True
        )
        sizes = np.array([len(rows) for _, rows in found], np.int64)
        names, campaign_numbers = _numbered(campaigns)
        model_ids, model_numbers = _numbered(models)
        types = np.array([RANK[kind] for kind in kinds], np.int64)
        replay = Replay.of_columns(
            _hashes([user for user, _ in found]),
            sizes,
            np.array(times, np.int64),
            types,
            campaign_numbers,
            np.array(keys, np.int64),
            names,
            IS_CONVERSION[types] & (np.array(revenues, np.float64) < 0),
        )
        return cls(
            log=replace(Log.of(replay, "the store"), most=most),
            propensities=np.array(propensities, np.float64),
            models=model_numbers,
            model_ids=model_ids,
            whole=np.array(seen, np.int64)[replay.bounds[:-1]] == 1,
        )

    def last_events(self, moments: Moments) -> NDArray[np.int64]:
        """The newest event of its user before each moment (n)."""
        return moments.counts - 1

    def made_by(self, model_id: str) -> NDArray[np.bool_]:
        """Which scores (n) a model made."""
        if model_id not in self.model_ids:
            return np.zeros(len(self.models), np.bool_)
        made: NDArray[np.bool_] = self.models == self.model_ids.index(model_id)
        return made


def _numbered(texts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct texts, and for each text its place among them."""
    places: dict[str, int] = {}
    numbers = np.array([places.setdefault(text, len(places)) for text in texts], np.int64)
    return tuple(places), numbers


def _hashes(user_ids: Sequence[str]) -> NDArray[np.uint64]:
    """The users' hashes, as a replay has them."""
    return np.array([xxh3_64_intdigest(user.encode()) for user in user_ids], np.uint64)


def sample(user_ids: Sequence[str], most: int) -> tuple[list[str], float]:
    """All users where they are at most so many, else a share of them drawn by hash, about so many; and the share.

    They are ordered by id. A smaller share is a part of a greater one.
    """
    ordered = sorted(user_ids)
    if len(ordered) <= most:
        return ordered, 1.0
    share = most / len(ordered)
    chosen = mixed(_hashes(ordered), "sample") < np.uint64(share * 2.0**64)
    return [ordered[place] for place in np.flatnonzero(chosen).tolist()], share


def each_part(reader: Reader, user_ids: Sequence[str], most: int) -> Iterator[Stored]:
    """What is stored of the users, for some at a time."""
    for first in range(0, len(user_ids), USERS):
        stored = Stored.of(reader, user_ids[first : first + USERS], most)
        if stored is not None:
            yield stored
