"""The stores that the tests of this folder are run against."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import NoHostAvailable

from schemas.errors import StoreError
from stores.base import Reader, Writer
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.cassandra.session import SharedSession, open_session
from stores.cassandra.writer import CassandraWriter
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import wait_for
from tests.services.cassandra import Cassandra

pytest.register_assert_rewrite("tests.stores.conformance")

TABLES = (
    "propensity_by_user",
    "latest_propensity",
    "dead_letters",
    "erasures",
    "grades",
    "models",
    "conversion_credit",
)


class Embedded:
    """A SQLite file, opened as often as a test asks for."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self._stack = path, stack

    def writer(self) -> Writer:
        writer = SqliteWriter(self.path)
        self._stack.callback(writer.close)
        return writer

    def reader(self) -> Reader:
        reader = SqliteReader(self.path)
        self._stack.callback(reader.close)
        return reader


class Clustered:
    """A keyspace of Cassandra that has its tables."""

    def __init__(self, address: CassandraAddress, stack: ExitStack) -> None:
        self.address, self._stack = address, stack

    def writer(self, **options: Any) -> CassandraWriter:
        writer = CassandraWriter(self.address, **options)
        self._stack.callback(writer.close)
        return writer

    def reader(self) -> CassandraReader:
        reader = CassandraReader(self.address)
        self._stack.callback(reader.close)
        return reader


def address_of(server: Cassandra, keyspace: str, **fields: Any) -> CassandraAddress:
    """A keyspace of a server of these tests."""
    return CassandraAddress((server.host,), server.port, keyspace, **fields)


def answers(shared: SharedSession) -> bool:
    """Whether a session has a connection: behind a test that stopped the server it looks for one once a second."""
    try:
        return bool(shared.session.execute("SELECT key FROM system.local"))
    except NoHostAvailable:
        return False


@contextmanager
def made_tables(server: Cassandra) -> Iterator[CassandraAddress]:
    """A new keyspace that has its tables."""
    address = address_of(server, f"k{uuid.uuid4().hex[:12]}")
    shared = open_session(address)  # held open, so that a test need not connect
    CassandraWriter(address).close()
    yield address
    shared.close()


@pytest.fixture(scope="session")
def tables(cassandra: Cassandra) -> Iterator[CassandraAddress]:
    """A keyspace with tables, for all tests of this process that want to find them empty."""
    with made_tables(cassandra) as address:
        yield address


@pytest.fixture
def clustered(tables: CassandraAddress) -> Iterator[Clustered]:
    """An empty store in Cassandra."""
    shared = open_session(tables)
    wait_for(lambda: answers(shared))

    def has_rows(table: str) -> bool:
        return shared.session.execute(f"SELECT * FROM {tables.keyspace}.{table} LIMIT 1").one() is not None

    everything = has_rows("erasures")  # what was deleted leaves no row, and hides what is written
    for table in TABLES:
        if everything or has_rows(table):
            shared.session.execute(f"TRUNCATE {tables.keyspace}.{table}")
    shared.session.execute(f"DELETE FROM {tables.keyspace}.store WHERE name = 'provenance' IF EXISTS")
    with ExitStack() as stack:
        stack.callback(shared.close)
        yield Clustered(tables, stack)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    """An empty store in SQLite."""
    with ExitStack() as stack:
        yield Embedded(tmp_path / "rows.db", stack)


@pytest.fixture
def fresh(cassandra: Cassandra, keyspace: str, clustered: Clustered) -> Clustered:
    """A keyspace that is not there yet."""
    return Clustered(address_of(cassandra, keyspace), clustered._stack)


def ask(store: Clustered, statement: str, *values: object) -> list[tuple]:
    """What the keyspace says to a statement, its tables named without it."""
    shared = open_session(store.address)
    try:
        return list(shared.session.execute(statement.replace("FROM ", f"FROM {store.address.keyspace}."), values))
    finally:
        shared.close()


def one_line(error: pytest.ExceptionInfo[StoreError]) -> str:
    """A message that is one line."""
    assert "\n" not in str(error.value)
    return str(error.value)
