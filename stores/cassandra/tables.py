"""The tables: created by one process at the first start; the others wait for them."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path

from cassandra import AlreadyExists, InvalidRequest, Unauthorized
from cassandra.cluster import Session

from schemas.errors import StoreError
from schemas.event_fields import STORED
from schemas.grades import COLUMNS, Grade
from schemas.stored_models import StoredModel
from stores.cassandra.address import CassandraAddress
from stores.cassandra.driver_errors import ERRORS, may_heal, reason, store_errors
from stores.cassandra.session import SharedSession

SCHEMA = Path(__file__).parent.parent.parent / "schemas" / "cassandra.cql"
VERSION = 3
"""Version of the tables."""
KINDS = {str: "text", int: "int", float: "double"}
"""Types of the event's columns."""
EVENTS = "propensity_by_user"
"""The table that has them."""
PROCESS = "process "
"""Prefix of the names of the processes' rows in the table `store`."""
TABLES_PATIENCE = 60.0
"""Seconds to wait for tables that another process creates."""
DAY = 86_400
LONGEST_LIFE = 7_300 * DAY
"""The longest time to live that Cassandra accepts, in seconds."""
_WINDOWS = 30
"""Time windows in the retention period: each becomes one file, which is dropped as a whole."""
_OF_EVENTS = {EVENTS, "conversion_credit"}
"""Tables whose rows expire."""
_LEVELED = "{'class': 'LeveledCompactionStrategy'}"


def split_statements(text: str) -> list[str]:
    """The statements of a CQL text, without its comments."""
    return [part.strip() for part in re.sub(r"--.*", "", text).split(";") if part.strip()]


def create_statements(keyspace: str, retention_days: int = 0) -> dict[str, str]:
    """The statement that creates each table, in the order of creation."""
    statements = {}
    for statement in split_statements(SCHEMA.read_text()):
        found = re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)
        assert found is not None, statement
        name = found.group(1)
        if name in _OF_EVENTS and retention_days:
            statement = statement.replace(_LEVELED, _time_windows(retention_days))
        statements[name] = statement.replace(found.group(0), f"CREATE TABLE IF NOT EXISTS {keyspace}.{name}")
    return statements


def _time_windows(days: int) -> str:
    unit, size = ("DAYS", round(days / _WINDOWS)) if days >= _WINDOWS else ("HOURS", days * 24 // _WINDOWS)
    options = {
        "class": "TimeWindowCompactionStrategy",
        "compaction_window_unit": unit,
        "compaction_window_size": str(max(size, 1)),
    }
    return str(options)


def counting_period(retention: int) -> int:
    """Seconds for which times to live count from one moment: 30 days, or less where the longest life leaves less."""
    return max(1, min(30 * DAY, LONGEST_LIFE - retention))


def ready_tables(shared: SharedSession, first: bool, retention_days: int = 0) -> str:
    """Create the tables, or wait for them, and return the store's id.

    Args:
        shared: the session.
        first: whether to create what is missing, rather than wait for it.
        retention_days: how long rows live; 0 = for ever.

    Raises:
        StoreError: creating them is not permitted, no process creates them, or they are of another version.
    """
    address, session = shared.address, shared.session
    with store_errors(address):
        if first:
            if (found := _store(address, session)) is not None:
                _check_version(address, found[1])
            _create(address, session, retention_days)
        store_id, version = _wait_for_tables(address, session)
        _check_version(address, version)
        if first and retention_days:
            _try_retention(address, session, retention_days)
        return store_id


def _check_version(address: CassandraAddress, version: int) -> None:
    if version != VERSION:
        raise StoreError(
            f"ADSTREAMS_CASSANDRA_KEYSPACE: the tables of keyspace {address.keyspace} at {address} are of version"
            f" {version}, this program uses {VERSION}"
        )


def _wait_for_tables(address: CassandraAddress, session: Session) -> tuple[str, int]:
    deadline = time.monotonic() + TABLES_PATIENCE
    while True:
        missing = _missing(address, session)
        if not missing:
            try:
                found = _store(address, session)
            except ERRORS as error:  # a node that does not know the table yet may raise anything
                if not may_heal(error) or time.monotonic() >= deadline:
                    raise
                found = None
            if found is not None:
                return found
        if time.monotonic() >= deadline:
            raise StoreError(
                f"ADSTREAMS_CASSANDRA_KEYSPACE: {address} has no {missing or 'row in table store'} after"
                f" {TABLES_PATIENCE:.0f} s; process 0 of the dataflow creates it, or you with schemas/cassandra.cql"
            )
        time.sleep(0.2)


def store_id(shared: SharedSession, patience: float) -> str:
    """The store's id, empty if it was dropped; retried for `patience` seconds while nodes do not answer."""
    deadline = time.monotonic() + patience
    with store_errors(shared.address):
        while True:
            try:
                found = _store(shared.address, shared.session)
            except ERRORS as error:
                if not may_heal(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)
            else:
                return found[0] if found else ""


def models_of(shared: SharedSession) -> list[StoredModel]:
    """The models of the keyspace, ordered by the times from which they are valid."""
    statement = shared.prepare(f"SELECT valid_from, model_id, file FROM {shared.address.keyspace}.models")
    with store_errors(shared.address):
        found = [StoredModel(*row) for row in shared.session.execute(statement)]
    return sorted(found, key=lambda model: model.valid_from)


def grades_of(shared: SharedSession) -> list[Grade]:
    """The grades of the keyspace, in no order."""
    statement = shared.prepare(f"SELECT {', '.join(COLUMNS)} FROM {shared.address.keyspace}.grades")
    with store_errors(shared.address):
        return [Grade(*row) for row in shared.session.execute(statement)]


def _store(address: CassandraAddress, session: Session) -> tuple[str, int] | None:
    """The store's id and the version of its tables; None until a process has recorded that they are complete."""
    try:
        row = session.execute(f"SELECT id, version FROM {address.keyspace}.store WHERE name = 'tables'").one()
    except InvalidRequest:  # it does not exist (any more), or a node does not know it yet
        return None
    return None if row is None else (str(row[0]), int(row[1]))


def _missing(address: CassandraAddress, session: Session) -> str:
    """What is missing: the keyspace, one of its tables, or a column of events; empty if all are there."""
    if not _names(session, "keyspaces", address.keyspace):
        return f"keyspace {address.keyspace}"
    there = _names(session, "tables", address.keyspace)
    missing = [name for name in create_statements(address.keyspace) if name not in there]
    if missing:
        return f"table {address.keyspace}.{missing[0]}"
    columns = _names(session, "columns", address.keyspace)
    lacking = [column.name for column in STORED if column.name not in columns]
    return f"column {lacking[0]} of table {address.keyspace}.{EVENTS}" if lacking else ""


def _names(session: Session, kind: str, keyspace: str) -> set[str]:
    column = kind.removesuffix("s") + "_name"
    of_table = f" AND table_name = '{EVENTS}'" if kind == "columns" else ""
    statement = f"SELECT {column} FROM system_schema.{kind} WHERE keyspace_name = %s{of_table}"
    return {name for (name,) in session.execute(statement, (keyspace,))}


def _add_column(address: CassandraAddress, name: str) -> str:
    """The statement that gives tables of an earlier version one of the event's columns; its cells are empty."""
    (column,) = (each for each in STORED if each.name == name)
    return f"ALTER TABLE {address.keyspace}.{EVENTS} ADD {name} {KINDS[column.kind]}"


def _create(address: CassandraAddress, session: Session, retention_days: int) -> None:
    """Create what is missing."""
    statements = create_statements(address.keyspace, retention_days)
    while missing := _missing(address, session):
        kind, name, *_ = missing.split()
        if kind == "column":
            create = _add_column(address, name)
        else:
            create = _create_keyspace(address, session) if kind == "keyspace" else statements[name.partition(".")[2]]
        try:
            session.execute(create, timeout=TABLES_PATIENCE)
        except AlreadyExists:
            continue
        except InvalidRequest:  # a column that another process has just added
            if _missing(address, session) == missing:
                raise
        except Unauthorized as error:
            raise StoreError(
                f"ADSTREAMS_CASSANDRA_USERNAME: {address} has no {missing}, and role {address.username} may not create"
                " it; grant that, or create it with schemas/cassandra.cql"
            ) from error
    if _store(address, session) is None:
        insert = f"INSERT INTO {address.keyspace}.store (name, id, version) VALUES ('tables', %s, %s) IF NOT EXISTS"
        session.execute(insert, (uuid.uuid4().hex, VERSION))


def _create_keyspace(address: CassandraAddress, session: Session) -> str:
    """Three replicas in the local data centre, or as many as it has nodes."""
    cluster = session.cluster
    local = address.datacenter or cluster.metadata.all_hosts()[0].datacenter
    nodes = sum(host.datacenter == local for host in cluster.metadata.all_hosts())
    replication = {"class": "NetworkTopologyStrategy", local: min(3, nodes)}
    return f"CREATE KEYSPACE IF NOT EXISTS {address.keyspace} WITH replication = {replication}"


def _try_retention(address: CassandraAddress, session: Session, days: int) -> None:
    """Write a row with the longest time to live: servers before version 5 accept none that ends after 2038."""
    life = min(days * DAY + counting_period(days * DAY), LONGEST_LIFE)
    statement = f"INSERT INTO {address.keyspace}.store (name) VALUES ('longest life') USING TTL {life}"
    try:
        session.execute(statement)
    except InvalidRequest as error:
        raise StoreError(f"ADSTREAMS_RETENTION_DAYS: {days} days are too many: {reason(error)}") from error
