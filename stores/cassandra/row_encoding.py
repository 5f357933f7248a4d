"""Encodes scored rows as statements of Cassandra's native protocol.

A row is up to three statements, because a statement has one write timestamp: the body, at the event's time plus its
type; the computed values, at the row's version; and, of a user's newest event, the user's latest row. A conversion has
two more, in the same way: its revenue, of its body, and its credit, one list that is replaced as a whole. Numbers are
big-endian, texts are the received UTF-8 bytes, and nothing is decoded on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.advice import NO_ACTION, Advice
from schemas.compiled.compiling import compiled
from schemas.credits import BASELINE, CREDIT, PARTS, RULES
from schemas.event_fields import STORED
from schemas.event_types import IS_CONVERSION, TYPES
from schemas.events import EVENT_ID, ROW, TEXTS, USER_ID, EventBatch, put_bytes
from schemas.scored import COMPUTED_AGAIN, OUTCOME, ScoredRows
from stores.row_columns import COMPUTED, KEY, LATEST_ROW

NUMBERS = ("quantity", "revenue")
SHOWN = tuple(column.name for column in STORED if column.name not in NUMBERS)
BODY_COLUMNS = (*KEY, "event_type", "event_id", *SHOWN, *NUMBERS)
COMPUTED_COLUMNS = (*KEY, *COMPUTED)
LATEST_COLUMNS = LATEST_ROW
REVENUE_COLUMNS = (*KEY, "revenue")
CREDIT_COLUMNS = (*KEY, "version", "model_id", "part", "order_time", "credits")
"""Columns of the statements, in the order of their values; write timestamp and time to live come after them."""

LARGE_PIECE = 32_768
"""Bytes after which the rest of a user's rows go into another piece."""

_SHOWN = np.array([TEXTS.index(name) for name in SHOWN])
_TYPES = np.frombuffer("".join(TYPES).encode(), np.uint8).reshape(len(TYPES), 2)
_PARTS = np.frombuffer("".join(PARTS).encode(), np.uint8)
_PART_EDGES = np.cumsum([0, *map(len, PARTS)])
_BITS = np.dtype([(name, np.int64 if name in RULES else CREDIT[name]) for name in CREDIT.names or ()], align=True)
"""A record of `CREDIT`, its shares as their bits."""
_SHARE_SIZE = 112 + 12 * len(RULES)
"""The most bytes of one share, without the campaign's name."""
_FOR_EVER = 0
_ADVICE = np.dtype([("action", np.int64), ("gain", np.int64), ("net", np.int64), ("held_out", np.bool_)], align=True)
"""`ADVICE`, its numbers as their bits."""

PIECE = np.dtype(
    [
        ("start", np.int64),
        ("stop", np.int64),
        ("statements", np.int64),
        ("size", np.int64),  # bytes that the server counts against its limits
        ("row", np.int64),  # a row of the batch that has the user's id
    ]
)
"""Statements of one user, and so of one partition of each table."""

# Bytes that the server counts of a mutation beside the values: of a cell its times, of a row its marker, and what every
# partition has. (Read off its warnings; a row has 4 fewer without a time to live.)
_CELL, _ROW, _PARTITION = 20, 25, 29
_KEY_VALUES = 16
_BODY, _COMPUTED, _LATEST = len(BODY_COLUMNS), len(COMPUTED_COLUMNS), len(LATEST_COLUMNS)
_REVENUE, _CREDIT = len(REVENUE_COLUMNS), len(CREDIT_COLUMNS)
_BODY_CELLS, _COMPUTED_CELLS, _LATEST_CELLS = _BODY - len(KEY), _COMPUTED - len(KEY), _LATEST - 1
_REVENUE_CELLS, _CREDIT_CELLS = _REVENUE - len(KEY), _CREDIT - len(KEY)


@dataclass(frozen=True, slots=True)
class Heads:
    """The bytes before the values of each statement.

    >>> nothing = np.empty(0, np.uint8)
    >>> len(Heads(nothing, nothing, nothing, nothing, nothing).body)
    0
    """

    body: NDArray[np.uint8]
    computed: NDArray[np.uint8]
    latest: NDArray[np.uint8]
    revenue: NDArray[np.uint8]
    credit: NDArray[np.uint8]


class Lifetime(NamedTuple):
    """How long rows live, in seconds; `now` and `base` count from 1970.

    A row expires `retention` after its event, or after `now` if the event's time is later; 0 is never. Times to live
    count from `base`.

    >>> day = Lifetime(retention=86_400, now=1_000_000, base=1_000_000)
    >>> day.is_over(timestamp=900_000_000), day.seconds_left(timestamp=990_000_000)
    (True, 76400)
    """

    retention: int
    now: int
    base: int

    def is_over(self, timestamp: int) -> bool:
        """Whether rows of an event at this time (ms) have expired, and so are not written."""
        return bool(_is_over(timestamp, self))

    def seconds_left(self, timestamp: int) -> int:
        """The time to live of rows of an event at this time (ms)."""
        return int(_seconds_left(timestamp, self))


@dataclass(frozen=True, slots=True)
class Piece:
    """Statements of one partition: their bytes, their number, and the bytes that the server counts against its limits.

    >>> Piece(b"ann", b"<statement>", count=1, size=100).key
    b'ann'
    """

    key: bytes
    statements: memoryview | bytes
    count: int
    size: int


@compiled
def _put_number(out, at, value, size):
    out[at] = out[at + 1] = out[at + 2] = 0
    out[at + 3] = size
    for byte in range(size):
        out[at + 4 + byte] = (value >> (8 * (size - 1 - byte))) & 0xFF
    return at + 4 + size


@compiled
def _put_long(out, at, value):
    """A number of 8 bytes; each written out, so that they are stored at once."""
    out[at] = out[at + 1] = out[at + 2] = 0
    out[at + 3] = 8
    out[at + 4], out[at + 5] = (value >> 56) & 0xFF, (value >> 48) & 0xFF
    out[at + 6], out[at + 7] = (value >> 40) & 0xFF, (value >> 32) & 0xFF
    out[at + 8], out[at + 9] = (value >> 24) & 0xFF, (value >> 16) & 0xFF
    out[at + 10], out[at + 11] = (value >> 8) & 0xFF, value & 0xFF
    return at + 12


@compiled
def _put_size(out, at, size):
    for byte in range(4):
        out[at + byte] = (size >> (24 - 8 * byte)) & 0xFF
    return at + 4


@compiled
def _put_text(out, at, source, start, stop):
    return put_bytes(out, _put_size(out, at, stop - start), source, start, stop)


@compiled
def _put_times(out, at, write_time, timestamp, lifetime):
    at = _put_long(out, at, write_time)
    return at if lifetime[0] == _FOR_EVER else _put_number(out, at, _seconds_left(timestamp, lifetime), 4)


@compiled
def _put_head(out, at, head, data, user, timestamp, event_key):
    """The start of a statement and the values of `KEY`."""
    at = put_bytes(out, at, head, 0, len(head))
    at = _put_text(out, at, data, user.start[USER_ID], user.stop[USER_ID])
    return _put_long(out, _put_long(out, at, timestamp), event_key)


@compiled
def _is_over(timestamp, lifetime):
    retention, now, _ = lifetime
    return retention != _FOR_EVER and timestamp // 1000 + retention <= now


@compiled
def _seconds_left(timestamp, lifetime):
    retention, now, base = lifetime
    return min(timestamp // 1000, now) + retention - base


@compiled
def _put_body(out, at, head, rows, data, row, revenue, types, shown, lifetime):
    record = rows[row]
    at = _put_head(out, at, head, data, record, record.timestamp, record.event_key)
    at = _put_text(out, at, types[record.type], 0, 2)
    at = _put_text(out, at, data, record.start[EVENT_ID], record.stop[EVENT_ID])
    for field in shown:
        at = _put_text(out, at, data, record.start[field], record.stop[field])
    at = _put_number(out, at, record.quantity, 4)
    at = _put_long(out, at, revenue[row])
    return _put_times(out, at, record.timestamp * 1000 + record.type, record.timestamp, lifetime)


@compiled
def _put_score(out, at, outcome, propensity, model, ids, lifetime):
    """The values of `COMPUTED`, and the times: the end of both statements about what is computed."""
    at = _put_long(out, at, propensity)
    at = _put_long(out, at, outcome.seen)
    at = _put_long(out, at, outcome.version)
    texts, edges = ids
    at = _put_text(out, at, texts, edges[model], edges[model + 1])
    return _put_times(out, at, outcome.version, outcome.timestamp, lifetime)


@compiled
def _put_computed(out, at, head, data, user, outcome, propensity, model, ids, lifetime):
    at = _put_head(out, at, head, data, user, outcome.timestamp, outcome.event_key)
    return _put_score(out, at, outcome, propensity, model, ids, lifetime)


@compiled
def _put_latest(out, at, head, data, user, outcome, propensity, model, ids, advice, actions, types, lifetime):
    """Without an action its name is empty, and no null: that would leave a tombstone each time."""
    at = _put_head(out, at, head, data, user, outcome.timestamp, outcome.event_key)
    at = _put_text(out, at, types[outcome.type], 0, 2)
    begin = end = 0
    if advice.action != NO_ACTION:
        begin, end = actions[1][advice.action], actions[1][advice.action + 1]
    at = _put_text(out, at, actions[0], begin, end)
    at = _put_long(out, at, advice.gain)
    at = _put_long(out, at, advice.net)
    at = _put_number(out, at, advice.held_out, 1)
    return _put_score(out, at, outcome, propensity, model, ids, lifetime)


@compiled
def _put_revenue(out, at, head, rows, data, row, revenue, lifetime):
    record = rows[row]
    at = _put_head(out, at, head, data, record, record.timestamp, record.event_key)
    at = _put_long(out, at, revenue[row])
    return _put_times(out, at, record.timestamp * 1000 + record.type, record.timestamp, lifetime)


@compiled
def _put_share(out, at, share, names, ends, types):
    """One tuple of the list."""
    start = at + 4
    at = _put_long(out, _put_long(out, start, share.touch_time), share.touch_key)
    at = _put_text(out, at, types[max(share.type, 0)], 0, 0 if share.type == BASELINE else 2)
    at = _put_text(out, at, names, ends[share.campaign - 1] if share.campaign > 0 else 0, ends[share.campaign])
    for value in (share.credit, share.last, share.first, share.linear, share.time_decay, share.position):
        at = _put_long(out, at, value)
    _put_size(out, start - 4, at - start)
    return at


@compiled
def _put_credit(out, at, head, data, user, outcome, shares, names, ends, model, ids, types, lifetime):
    at = _put_head(out, at, head, data, user, outcome.timestamp, outcome.event_key)
    at = _put_long(out, at, outcome.version)
    texts, edges = ids
    at = _put_text(out, at, texts, edges[model], edges[model + 1])
    part = shares[0].part
    at = _put_text(out, at, _PARTS, _PART_EDGES[part], _PART_EDGES[part + 1])
    start = _put_long(out, at, shares[0].order_time) + 4
    at = _put_size(out, start, len(shares))
    for place in range(len(shares)):
        at = _put_share(out, at, shares[place], names, ends, types)
    _put_size(out, start - 4, at - start)
    return _put_times(out, at, outcome.version, outcome.timestamp, lifetime)


@compiled
def _room(rows, outcomes, rivals, credits, ends, heads, ids, actions):
    """Bytes that are enough for all statements."""
    fixed = np.diff(actions[1]).max() if len(actions[1]) > 1 else 0
    for head in heads:
        fixed += len(head) + 160
    total = (len(outcomes) + len(rivals)) * (fixed + 3 * np.diff(ids[1]).max())
    for outcome in outcomes:
        user = rows[outcome.user_row]
        total += 5 * (user.stop[USER_ID] - user.start[USER_ID])
        if outcome.body_row != COMPUTED_AGAIN:
            body = rows[outcome.body_row]
            for field in range(len(body.start)):
                total += body.stop[field] - body.start[field]
    for row in rivals:
        total += rows[row].stop[USER_ID] - rows[row].start[USER_ID]
        for field in range(len(rows[row].start)):
            total += rows[row].stop[field] - rows[row].start[field]
    for credit in credits:
        start = ends[credit.campaign - 1] if credit.campaign > 0 else 0
        total += _SHARE_SIZE + ends[credit.campaign] - start
    return total


@compiled
def _values_size(written, head, user, values):
    """Bytes of a statement's values, without the user and the write timestamp."""
    return written - len(head) - 4 * values - (user.stop[USER_ID] - user.start[USER_ID]) - 12


@compiled
def _encode(
    rows, data, outcomes, propensity, revenue, rivals, credits, names, ends, model, ids, advice, actions, heads, types,
    shown, lifetime, large, out, pieces,
):  # fmt: skip
    """Fill `out` with statements and `pieces` with where those of each user are; returns how many pieces."""
    body, computed, latest, revenue_head, credit = heads
    at, count, start, statements, size, credited = 0, 0, 0, 0, 0, 0
    for place in range(len(outcomes)):
        outcome = outcomes[place]
        user = rows[outcome.user_row]
        first = credited
        while credited < len(credits) and credits[credited].outcome == place:
            credited += 1
        if not _is_over(outcome.timestamp, lifetime):
            if outcome.body_row != COMPUTED_AGAIN:
                end = _put_body(out, at, body, rows, data, outcome.body_row, revenue, types, shown, lifetime)
                statements += 1
                size += _values_size(end - at, body, user, _BODY) - _KEY_VALUES + _BODY_CELLS * _CELL
                at = end
            number = model[place]
            end = _put_computed(out, at, computed, data, user, outcome, propensity[place], number, ids, lifetime)
            statements += 1
            size += _values_size(end - at, computed, user, _COMPUTED) + _COMPUTED_CELLS * _CELL + _ROW
            at = end
            if outcome.newest:
                end = _put_latest(
                    out, at, latest, data, user, outcome, propensity[place], number, ids, advice[place], actions,
                    types, lifetime,
                )  # fmt: skip
                statements += 1
                size += _values_size(end - at, latest, user, _LATEST) + _LATEST_CELLS * _CELL + _ROW + _PARTITION
                at = end
            if outcome.body_row != COMPUTED_AGAIN and IS_CONVERSION[outcome.type]:
                end = _put_revenue(out, at, revenue_head, rows, data, outcome.body_row, revenue, lifetime)
                statements += 1
                size += _values_size(end - at, revenue_head, user, _REVENUE) + _REVENUE_CELLS * _CELL
                size += _ROW + _PARTITION
                at = end
            if credited > first:
                shares = credits[first:credited]
                end = _put_credit(
                    out, at, credit, data, user, outcome, shares, names, ends, number, ids, types, lifetime
                )
                statements += 1
                size += _values_size(end - at, credit, user, _CREDIT) + _CREDIT_CELLS * _CELL + _ROW + _PARTITION
                at = end
        last = place + 1 == len(outcomes) or outcomes[place + 1].user_row != outcome.user_row
        if statements and (last or at - start >= large):
            piece = pieces[count]
            piece.start, piece.stop, piece.statements = start, at, statements
            piece.size, piece.row = size + _PARTITION, outcome.user_row
            count += 1
            start, statements, size = at, 0, 0
    for row in rivals:
        if not _is_over(rows[row].timestamp, lifetime):
            at = _put_body(out, at, body, rows, data, row, revenue, types, shown, lifetime)
            piece = pieces[count]
            piece.size = _values_size(at - start, body, rows[row], _BODY) + _BODY_CELLS * _CELL + _ROW + _PARTITION
            piece.start, piece.statements, piece.row = start, 1, row
            if IS_CONVERSION[rows[row].type]:
                end = _put_revenue(out, at, revenue_head, rows, data, row, revenue, lifetime)
                piece.size += _values_size(end - at, revenue_head, rows[row], _REVENUE) + _REVENUE_CELLS * _CELL
                piece.size += _ROW + _PARTITION
                piece.statements = 2
                at = end
            piece.stop = at
            count += 1
            start = at
    return count


def encode(rows: ScoredRows, heads: Heads, lifetime: Lifetime) -> Iterator[Piece]:
    """The statements that write scored rows, user by user; expired rows are not written."""
    batch, rivals = rows.events, np.ascontiguousarray(rows.rivals, np.int64)
    credits, campaigns = rows.credits.rows.view(_BITS), [name.encode() for name in rows.credits.campaigns]
    names, ends = np.frombuffer(b"".join(campaigns), np.uint8), np.cumsum([len(name) for name in campaigns])
    ids, all_heads = rows.model_ids, (heads.body, heads.computed, heads.latest, heads.revenue, heads.credit)
    actions = rows.advice.names
    out = np.empty(_room(batch.rows, rows.outcomes, rivals, credits, ends, all_heads, ids, actions), np.uint8)
    pieces = np.empty(len(rows.outcomes) + len(rivals), PIECE)
    count = _encode(
        batch.rows, batch.data, rows.outcomes, np.ascontiguousarray(rows.propensities).view(np.int64),
        (batch.rows["revenue"] + 0.0).view(np.int64), rivals, credits, names, ends, rows.model, ids,
        rows.advice.rows.view(_ADVICE), actions, all_heads, _TYPES, _SHOWN, lifetime, LARGE_PIECE, out, pieces,
    )  # fmt: skip
    found = pieces[:count]
    users = batch.rows[found["row"]]
    spans = zip(users["start"][:, USER_ID].tolist(), users["stop"][:, USER_ID].tolist(), strict=True)
    data, statements = batch.data.data, out.data
    for (start, stop, number, size, _), (user_start, user_stop) in zip(found.tolist(), spans, strict=True):
        yield Piece(bytes(data[user_start:user_stop]), statements[start:stop], number, size)


def compile_now() -> None:
    """Compile what `encode` needs, for batches of this process and for those received from another."""
    head, numbers = np.frombuffer(b"", np.uint8), np.empty(0, np.uint8)
    for rows, data in ((np.empty(0, ROW), np.empty(0, np.uint8)), (np.frombuffer(b"", ROW), head)):
        batch, nothing = EventBatch((), rows, data), np.empty(0, OUTCOME)
        scored = ScoredRows(batch, nothing, np.empty(0), ("",), numbers, np.empty(0, np.int64), Advice.none(0))
        list(encode(scored, Heads(*[head] * 5), Lifetime(_FOR_EVER, 0, 0)))
