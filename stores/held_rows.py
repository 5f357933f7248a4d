"""The rows that a writer holds until its next flush, as tuples: for stores that are not written as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.credits import PARTS, RULES
from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure, hash_of
from schemas.event_types import TYPES
from schemas.events import TEXTS, EventBatch
from schemas.grades import Grade
from schemas.scored import COMPUTED_AGAIN, Propensity, ScoredRows
from stores.row_columns import BODY
from stores.row_columns import LATEST_ROW as LATEST_ROW

Key = tuple[str, int, int]
"""Of an event: user id, time in ms since 1970, and event key."""

_VERSION = -2
"""Where the version is in a row that ends with `COMPUTED`."""
_KINDS = (*TYPES, "")
"""Types of touches by number; the last, BASELINE, is empty."""


class Credited(NamedTuple):
    """What a conversion is to its order, the order's time, and its shares: those of touches, then the baseline's.

    Each share has the values of a `stores.answers.Share`.

    >>> Credited("order", 5, 7, "m", [(0, 0, "", "", *[1.0] * 6)]).part
    'order'
    """

    part: str
    order_time: int
    version: int
    model_id: str
    touches: list[tuple[Any, ...]]


def _bodies(events: EventBatch, rows: NDArray[np.integer]) -> Iterator[tuple[Any, ...]]:
    """The bodies of the given rows of a batch, without their types."""
    return zip(*(_values(events, rows, name) for name in BODY[1:]), strict=True)


def _values(events: EventBatch, rows: NDArray[np.integer], name: str) -> list[Any]:
    """A column of the given rows."""
    if name in TEXTS:
        return events.texts(TEXTS.index(name), rows)
    values: list[Any] = (events.rows[name][rows] + 0).tolist()  # -0.0 is 0.0
    return values


class HeldRows:
    """Rows as tuples, their values in the order of the column names of `stores.row_columns`.

    Attributes:
        full: events with body and score, `FULL_ROW`.
        rivals: bodies that lost to another one of their event, `KEY` and `BODY`.
        again: scores computed again, `KEY` and `COMPUTED`.
        latest: by user the row of the greatest version, `LATEST_ROW`.
        credited: by conversion the credit of the greatest version.
        letters: dead letters in the order of the calls, and whether each is written (or deleted).
        grades, erased: as given.

    >>> held = HeldRows()
    >>> held.take_latest([Propensity("ann", 0, 1, None, "CL", 0.25, 3, version, "m") for version in (2, 1)])
    >>> [dict(zip(LATEST_ROW, row))["version"] for row in held.latest.values()], len(held)
    ([2], 0)
    """

    def __init__(self) -> None:
        self.full: list[tuple[Any, ...]] = []
        self.rivals: list[tuple[Any, ...]] = []
        self.again: list[tuple[Any, ...]] = []
        self.latest: dict[str, tuple[Any, ...]] = {}
        self.credited: dict[Key, Credited] = {}
        self.letters: list[tuple[DeadLetter, bool]] = []
        self.grades: list[Grade] = []
        self.erased: list[Erasure] = []
        self._shares = 0

    def __len__(self) -> int:
        """How many rows of events and credit are held."""
        return len(self.full) + len(self.again) + self._shares

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return any(self._all)

    @property
    def _all(self) -> Sequence[list[Any] | dict[Any, Any]]:
        rows = self.full, self.rivals, self.again, self.latest, self.credited
        return *rows, self.letters, self.grades, self.erased

    def clear(self) -> None:
        """Hold nothing any more."""
        for held in self._all:
            held.clear()
        self._shares = 0

    def take(self, rows: ScoredRows) -> None:
        """Hold scored rows."""
        outcomes, events = rows.outcomes, rows.events
        users = events.texts(TEXTS.index("user_id"), outcomes["user_row"])
        kinds = [TYPES[kind] for kind in outcomes["type"].tolist()]
        keys = list(zip(users, outcomes["timestamp"].tolist(), outcomes["event_key"].tolist(), strict=True))
        scores = list(
            zip(
                rows.propensities.tolist(),
                outcomes["seen"].tolist(),
                outcomes["version"].tolist(),
                (rows.models[number] for number in rows.model.tolist()),
                strict=True,
            )
        )
        whole = np.flatnonzero(outcomes["body_row"] != COMPUTED_AGAIN)
        bodies = _bodies(events, outcomes["body_row"][whole])
        self.full += [
            (*keys[row], kinds[row], *body, *scores[row]) for row, body in zip(whole.tolist(), bodies, strict=True)
        ]
        if len(rows.rivals):
            self._take_rivals(events, rows.rivals)
        again = np.flatnonzero(outcomes["body_row"] == COMPUTED_AGAIN).tolist()
        self.again += [(*keys[row], *scores[row]) for row in again]
        newest = np.flatnonzero(outcomes["newest"]).tolist()
        for row, advised in zip(newest, rows.advice.said(newest), strict=True):
            self._take_latest((*keys[row], kinds[row], *advised, *scores[row]))
        if len(rows.credits):
            self._take_credits(rows, keys)

    def _take_rivals(self, events: EventBatch, rivals: NDArray[np.int64]) -> None:
        chosen = events.rows[rivals]
        users = events.texts(TEXTS.index("user_id"), rivals)
        keys = zip(users, chosen["timestamp"].tolist(), chosen["event_key"].tolist(), strict=True)
        kinds = (TYPES[kind] for kind in chosen["type"].tolist())
        self.rivals += [
            (*key, kind, *body) for key, kind, body in zip(keys, kinds, _bodies(events, rivals), strict=True)
        ]

    def _take_credits(self, rows: ScoredRows, keys: list[Key]) -> None:
        """Hold what conversions are credited to, of each the greatest version."""
        credits, versions = rows.credits.rows, rows.outcomes["version"].tolist()
        touches = list(
            zip(
                credits["touch_time"].tolist(),
                credits["touch_key"].tolist(),
                [_KINDS[kind] for kind in credits["type"].tolist()],
                [rows.credits.campaigns[campaign] for campaign in credits["campaign"].tolist()],
                *(credits[rule].tolist() for rule in RULES),
                strict=True,
            )
        )
        self._shares += len(touches)
        for outcome, start, stop in rows.credits.conversions():
            held = self.credited.get(keys[outcome])
            if held is None or versions[outcome] >= held.version:
                self.credited[keys[outcome]] = Credited(
                    PARTS[credits["part"][start]],
                    int(credits["order_time"][start]),
                    versions[outcome],
                    rows.models[rows.model[outcome]],
                    touches[start:stop],
                )

    def _take_latest(self, row: tuple[Any, ...]) -> None:
        held = self.latest.get(row[0])
        if held is None or row[_VERSION] >= held[_VERSION]:
            self.latest[row[0]] = row

    def take_latest(self, rows: Sequence[Propensity]) -> None:
        """Hold users' latest rows."""
        for row in rows:
            advised = row.best_action, row.gain, row.net, row.hold_out
            score = row.propensity, row.seen, row.version, row.model_id
            self._take_latest((row.user_id, row.timestamp, row.event_key, row.type, *advised, *score))

    def drop_erased(self, until_of: Callable[[list[int]], dict[int, int]]) -> None:
        """Drop rows of users that another program has erased since.

        Args:
            until_of: for hashes of users the times (ms) up to which those who were erased are.
        """
        users = {row[0] for held in (self.full, self.rivals, self.again) for row in held}
        users.update(self.latest, (key[0] for key in self.credited))
        hashes = {user: hash_of(user) for user in users}
        until = until_of(list(hashes.values()))
        if not until:
            return

        def stays(user_id: str, event_time: int) -> bool:
            return until.get(hashes[user_id], -1) < event_time

        for held in (self.full, self.rivals, self.again):
            held[:] = [row for row in held if stays(row[0], row[1])]
        self.latest = {user: row for user, row in self.latest.items() if stays(user, row[1])}
        self.credited = {key: credited for key, credited in self.credited.items() if stays(*key[:2])}
