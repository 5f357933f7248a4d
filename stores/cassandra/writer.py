"""Writes scored rows and dead letters to Cassandra."""

from __future__ import annotations

import struct
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import astuple

import numpy as np
from cassandra.concurrent import execute_concurrent_with_args

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from schemas.errors import StoreError
from schemas.flow_status import FlowStatus
from schemas.grades import COLUMNS, Grade
from schemas.scored import Propensity, ScoredRows
from schemas.stored_models import StoredModel
from stores.cassandra.address import CassandraAddress
from stores.cassandra.batches import Packer
from stores.cassandra.delivery import DEADLINE, Deliveries
from stores.cassandra.driver_errors import store_errors
from stores.cassandra.protocol import EncodedBatch, encoded, head_of
from stores.cassandra.row_encoding import (
    BODY_COLUMNS,
    COMPUTED_COLUMNS,
    CREDIT_COLUMNS,
    LATEST_COLUMNS,
    REVENUE_COLUMNS,
    Heads,
    Lifetime,
    Piece,
    encode,
)
from stores.cassandra.session import open_session
from stores.cassandra.tables import DAY, PROCESS, counting_period, grades_of, models_of, ready_tables, store_id

BLOCK = 100
"""How many offsets' dead letters are one partition."""

_LETTER = ("source", "partition", "block", "offset", "reason", "detail", "payload")
_LONG, _INT, _DOUBLE = struct.Struct(">q").pack, struct.Struct(">i").pack, struct.Struct(">d").pack
_MOST_SEEN = 2**31
"""The most events of a user that versions can count."""
_OVERHEAD = 200
"""The most bytes that the server counts for a row beside its values."""


class CassandraWriter:
    """Writes in unlogged batches through the process's one session, a bounded number of them at once.

    Every statement has its version as write timestamp, and can be sent any number of times. A batch that is not
    acknowledged is retried with growing delays until it is or `deadline` has passed; none is skipped.

    Args:
        address: the keyspace.
        first: whether to create missing tables, rather than wait for them.
        retention_days: days that a row is kept after its event; rows without time left are not written. 0 keeps all.
        deadline: seconds for which a write is retried after its first failure.

    Raises:
        StoreError: the cluster cannot be used; the message names the setting.

    >>> CassandraWriter(CassandraAddress(("no-such-host.invalid",)))
    Traceback (most recent call last):
    schemas.errors.StoreError: ADSTREAMS_CASSANDRA_HOSTS: no address is known for no-such-host.invalid
    """

    push_interval = 0.02
    """Seconds: a shorter interval would make batches smaller, readers would notice a longer one."""

    def __init__(
        self,
        address: CassandraAddress,
        first: bool = True,
        retention_days: int = 0,
        deadline: float = DEADLINE,
    ) -> None:
        self._address, self._retention, self._deadline = address, retention_days * DAY, deadline
        self._shared = open_session(address)
        try:
            self.store_id = ready_tables(self._shared, first, retention_days)
            self._prepare()
        except BaseException:
            self._shared.close()
            raise
        self._deliveries = Deliveries(self._shared, deadline)
        self._packer = Packer(self._replicas, lambda pieces: self._send(pieces, self._base))
        self._letters = Packer(self._replicas, lambda pieces: self._send(pieces, None))
        self._one_node = True
        self._base: int | None = None
        self._tells_time = self._shared.session.cluster.protocol_version >= 5
        self._clock = 0
        self._closed = False

    def _prepare(self) -> None:
        life = " AND TTL ?" if self._retention else ""
        self._latest = self._insert("latest_propensity", LATEST_COLUMNS, life)
        heads = (
            self._insert("propensity_by_user", BODY_COLUMNS, life),
            self._insert("propensity_by_user", COMPUTED_COLUMNS, life),
            self._latest,
            self._insert("conversion_credit", REVENUE_COLUMNS, life),
            self._insert("conversion_credit", CREDIT_COLUMNS, life),
        )
        self._heads = Heads(*(np.frombuffer(head, np.uint8) for head in heads))
        self._letter = self._insert("dead_letters", _LETTER, "")
        key = " AND ".join(f"{name} = ?" for name in _LETTER[:4])
        self._clear = self._head(f"DELETE FROM {self._address.keyspace}.dead_letters USING TIMESTAMP ? WHERE {key}")
        self._forget = [
            self._head(f"DELETE FROM {self._address.keyspace}.{rest}")
            for rest in (
                "propensity_by_user USING TIMESTAMP ? WHERE user_id = ? AND event_time <= ?",
                "conversion_credit USING TIMESTAMP ? WHERE user_id = ? AND event_time <= ?",
                "latest_propensity USING TIMESTAMP ? WHERE user_id = ?",
            )
        ]
        self._erasure = self._insert("erasures", ("user_hash", "until"), "")

    def _insert(self, table: str, columns: Sequence[str], life: str) -> bytes:
        marks = ", ".join("?" * len(columns))
        names = ", ".join(columns)
        table = f"{self._address.keyspace}.{table}"
        return self._head(f"INSERT INTO {table} ({names}) VALUES ({marks}) USING TIMESTAMP ?{life}")

    def _head(self, statement: str) -> bytes:
        return head_of(self._shared.prepare(statement))

    def write(self, rows: ScoredRows) -> None:
        """Take rows; full batches are sent at once."""
        self._deliveries.check()
        for piece in encode(rows, self._heads, self._lifetime()):
            self._packer.add(piece)

    def write_latest(self, rows: Sequence[Propensity]) -> None:
        """Take users' latest rows."""
        self._deliveries.check()
        lifetime = self._lifetime()
        for row in rows:
            if lifetime.is_over(row.timestamp):
                continue
            key = row.user_id.encode()
            version = _LONG(row.version)
            values = [
                key, _LONG(row.timestamp), _LONG(row.event_key), row.type.encode(), (row.best_action or "").encode(),
                _DOUBLE(row.gain or 0.0), _DOUBLE(row.net or 0.0), bytes([row.hold_out]), _DOUBLE(row.propensity),
                _LONG(row.seen), version, row.model_id.encode(), version,
            ]  # fmt: skip
            if self._retention:
                values.append(_INT(lifetime.seconds_left(row.timestamp)))
            _add(self._packer, key, self._latest, values)

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        self._deliveries.check()
        for letter in letters:
            key, values = _place(letter)
            rest = [letter.reason.encode(), letter.detail.encode(), letter.payload, self._tick()]
            _add(self._letters, key, self._letter, [*values, *rest])

    def clear_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters to delete: a deletion must not count its age from `_base`."""
        self._deliveries.check()
        for letter in letters:
            key, values = _place(letter)
            _add(self._letters, key, self._clear, [self._tick(), *values])

    def write_grades(self, grades: Sequence[Grade]) -> None:
        """Take grades; they are few, and written immediately.

        Raises:
            StoreError: they cannot be written.
        """
        table, marks = f"{self._address.keyspace}.grades", ", ".join("?" * len(COLUMNS))
        insert = self._shared.prepare(f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({marks}) USING TIMESTAMP ?")
        with store_errors(self._address):
            execute_concurrent_with_args(
                self._shared.session, insert, [(*grade.values, grade.version) for grade in grades]
            )

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Take erasures. Deletions have a write timestamp above those of all rows of events up to that time.

        In `latest_propensity` it must not be above those of later events: there it is the last µs of the time itself.
        """
        for each in erasures:
            key, until, last = (each.user_id or "").encode(), _LONG(each.until), each.until * 1000 + 999
            if each.user_id is not None:
                *of_events, standing = self._forget
                for head in of_events:
                    self._send_now(key, encoded(head, [_LONG(last + _MOST_SEEN), key, until]))
                self._send_now(key, encoded(standing, [_LONG(last), key]))
            user_hash = _LONG(each.user_hash)
            self._send_now(user_hash, encoded(self._erasure, [user_hash, until, _LONG(last)]))

    def _send_now(self, key: bytes, statement: bytes) -> None:
        """Send a statement by itself: a deletion must not count its age from `_base`."""
        self._deliveries.send(EncodedBatch(self._address.keyspace, key, [statement], 1, None))

    def erasures(self) -> list[Erasure]:
        """All recorded erasures."""
        statement = self._shared.prepare(f"SELECT user_hash, until FROM {self._address.keyspace}.erasures")
        with store_errors(self._address):
            return [Erasure(*row) for row in self._shared.session.execute(statement)]

    def models(self) -> list[StoredModel]:
        """The models."""
        return models_of(self._shared)

    def grades(self) -> list[Grade]:
        """The grades of all models."""
        return grades_of(self._shared)

    def add_model(self, model: StoredModel) -> None:
        """Add a model."""
        self._decide("INSERT INTO {} (valid_from, model_id, file) VALUES (?, ?, ?) IF NOT EXISTS", *astuple(model))

    def remove_model(self, model: StoredModel) -> None:
        """Remove a model."""
        self._decide("DELETE FROM {} WHERE valid_from = ? IF model_id = ?", model.valid_from, model.model_id)

    def note_status(self, status: FlowStatus) -> None:
        """Replace a process's status."""
        statement = self._shared.prepare(f"INSERT INTO {self._address.keyspace}.store (name, id) VALUES (?, ?)")
        with store_errors(self._address):
            self._shared.session.execute(statement, (f"{PROCESS}{status.process}", status.to_json()))

    def provenance(self) -> str | None:
        """What filled the keyspace."""
        return next((text for (text,) in self._rows("SELECT id FROM {}.store WHERE name = 'provenance'")), None)

    def note_provenance(self, text: str, before: str | None) -> None:
        """Record what fills the keyspace, unless that has changed."""
        if before is None:
            self._decide("INSERT INTO {} (name, id) VALUES ('provenance', ?) IF NOT EXISTS", text, table="store")
        else:
            self._decide("UPDATE {} SET id = ? WHERE name = 'provenance' IF id = ?", text, before, table="store")

    def is_empty(self) -> bool:
        """Whether nothing is stored."""
        return not any(
            self._rows(f"SELECT {key} FROM {{}}.{table} LIMIT 1")
            for table, key in (
                ("propensity_by_user", "user_id"),
                ("latest_propensity", "user_id"),
                ("dead_letters", "source"),
            )
        )

    def _rows(self, statement: str) -> list[tuple[str, ...]]:
        prepared = self._shared.prepare(statement.format(self._address.keyspace))
        with store_errors(self._address):
            return list(self._shared.session.execute(prepared))

    def _decide(self, statement: str, *values: object, table: str = "models") -> None:
        """Change a table by a lightweight transaction."""
        prepared = self._shared.prepare(statement.format(f"{self._address.keyspace}.{table}"))
        with store_errors(self._address):
            self._shared.session.execute(prepared, values)

    def _tick(self) -> bytes:
        """A write timestamp later than all before: dead letters have no version, they are ordered by the calls."""
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        return _LONG(self._clock)

    def _lifetime(self) -> Lifetime:
        """The lifetime of rows that are written now.

        Of two cells with one write timestamp Cassandra keeps, before it compares them, the one that expires later, and
        then the one of the smaller time to live. Both must be the same whenever a body is written: so times to live
        count from the start of a long period, and each batch carries that time.
        """
        now = int(time.time())
        if not self._retention or not self._tells_time:
            return Lifetime(self._retention, now, now)
        period = counting_period(self._retention)
        base = now - now % period
        if base != self._base:
            self._packer.push()
            self._base = base
        return Lifetime(self._retention, now, base)

    def _replicas(self, key: bytes) -> Hashable:
        if self._one_node:
            return None
        return frozenset(self._shared.session.cluster.metadata.get_replicas(self._address.keyspace, key))

    def _send(self, pieces: list[Piece], now: int | None) -> None:
        statements = sum(piece.count for piece in pieces)
        parts = [piece.statements for piece in pieces]
        self._deliveries.send(EncodedBatch(self._address.keyspace, pieces[0].key, parts, statements, now))

    def push(self) -> None:
        """Send held rows, without waiting for acknowledgements."""
        self._deliveries.check()
        self._packer.push()
        self._letters.push()
        self._one_node = len(self._shared.session.cluster.metadata.all_hosts()) < 2

    def flush(self) -> None:
        """Return once every write is acknowledged, and check that the store is still the one that was opened."""
        self.push()
        self._deliveries.wait()
        if store_id(self._shared, self._deadline) != self.store_id:
            raise StoreError(
                f"Cassandra at {self._address}: keyspace {self._address.keyspace} was dropped or replaced while it"
                " was written"
            )

    def close(self) -> None:
        """Release the session."""
        if not self._closed:
            self._closed = True
            self._deliveries.close()
            self._shared.close()


def _add(packer: Packer, key: bytes, head: bytes, values: Sequence[bytes]) -> None:
    statement = encoded(head, values)
    packer.add(Piece(key, statement, 1, len(statement) + _OVERHEAD))


def _place(letter: DeadLetter) -> tuple[bytes, list[bytes]]:
    """A dead letter's partition key as routed, and the values of its whole key."""
    parts = [letter.source.encode(), _INT(letter.partition), _LONG(letter.offset // BLOCK)]
    return routing_key(parts), [*parts, _LONG(letter.offset)]


def routing_key(parts: Iterable[bytes]) -> bytes:
    """A partition key of several columns, encoded as Cassandra hashes it."""
    return b"".join(struct.pack(">H", len(part)) + part + b"\0" for part in parts)
