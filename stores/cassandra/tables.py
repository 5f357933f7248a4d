"""The tables: made by one process at the first start, waited for by the others."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path

from cassandra import AlreadyExists, InvalidRequest, Unauthorized
from cassandra.cluster import Session

from schemas.errors import StoreError
from schemas.grades import COLUMNS, Grade
from schemas.stored_models import StoredModel
from stores.cassandra.address import CassandraAddress
from stores.cassandra.driver_errors import ERRORS, may_heal, plainly, reason
from stores.cassandra.session import SharedSession

SCHEMA = Path(__file__).parent.parent.parent / "schemas" / "cassandra.cql"
VERSION = 3
"""Version of the tables."""
PROCESS = "process "
"""Before the number of a process in the name of its row of the table `store`."""
TABLES_PATIENCE = 60.0
"""Seconds to wait for the tables that another process makes."""
DAY = 86_400
LONGEST_LIFE = 7_300 * DAY
"""Seconds that Cassandra keeps a row with a time to live, at the most."""
_WINDOWS = 30
"""Time windows over the retention: each is one file in the end, and goes as a whole."""
_OF_EVENTS = {"propensity_by_user", "conversion_credit"}
"""Tables whose rows go a time after their events."""
_LEVELED = "{'class': 'LeveledCompactionStrategy'}"


def split_statements(text: str) -> list[str]:
    """The statements of a CQL text, without its comments."""
    return [part.strip() for part in re.sub(r"--.*", "", text).split(";") if part.strip()]


def create_statements(keyspace: str, retention_days: int = 0) -> dict[str, str]:
    """The statement that makes each table, in the order in which they are made."""
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
    """Seconds for which times to live count from one moment: as many as the longest life leaves, up to 30 days."""
    return max(1, min(30 * DAY, LONGEST_LIFE - retention))


def ready_tables(shared: SharedSession, first: bool, retention_days: int = 0) -> str:
    """See that the tables are there, and tell the store's id.

    Args:
        shared: the session.
        first: whether to make what is missing, rather than to wait for it.
        retention_days: for how long rows will live, 0 for ever.

    Raises:
        StoreError: they may not be made, nobody makes them, or they are of another version.
    """
    address, session = shared.address, shared.session
    with plainly(address):
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
            except ERRORS as error:  # a node that is about to hear of the table may say anything
                if not may_heal(error) or time.monotonic() >= deadline:
                    raise
                found = None
            if found is not None:
                return found
        if time.monotonic() >= deadline:
            raise StoreError(
                f"ADSTREAMS_CASSANDRA_KEYSPACE: {address} has no {missing or 'row in table store'} after"
                f" {TABLES_PATIENCE:.0f} s; process 0 of the dataflow makes it, or you with schemas/cassandra.cql"
            )
        time.sleep(0.2)


def store_id(shared: SharedSession, patience: float) -> str:
    """The store's id, empty where it was dropped; asked again for so many seconds while nodes do not answer."""
    deadline = time.monotonic() + patience
    with plainly(shared.address):
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
    """The models of the keyspace, in the order of the times from which on they are valid."""
    statement = shared.prepare(f"SELECT valid_from, model_id, file FROM {shared.address.keyspace}.models")
    with plainly(shared.address):
        found = [StoredModel(*row) for row in shared.session.execute(statement)]
    return sorted(found, key=lambda model: model.valid_from)


def grades_of(shared: SharedSession) -> list[Grade]:
    """The grades of the keyspace, in no order."""
    statement = shared.prepare(f"SELECT {', '.join(COLUMNS)} FROM {shared.address.keyspace}.grades")
    with plainly(shared.address):
        return [Grade(*row) for row in shared.session.execute(statement)]


def _store(address: CassandraAddress, session: Session) -> tuple[str, int] | None:
    """The store's id and the version of its tables; None where no process has said that they are complete."""
    try:
        row = session.execute(f"SELECT id, version FROM {address.keyspace}.store WHERE name = 'tables'").one()
    except InvalidRequest:  # not there (any more), or a node has not heard of it yet
        return None
    return None if row is None else (str(row[0]), int(row[1]))


def _missing(address: CassandraAddress, session: Session) -> str:
    """What is missing: the keyspace or one of its tables; nothing if all are there."""
    if not _names(session, "keyspaces", address.keyspace):
        return f"keyspace {address.keyspace}"
    there = _names(session, "tables", address.keyspace)
    missing = [name for name in create_statements(address.keyspace) if name not in there]
    return f"table {address.keyspace}.{missing[0]}" if missing else ""


def _names(session: Session, kind: str, keyspace: str) -> set[str]:
    column = kind.removesuffix("s") + "_name"
    statement = f"SELECT {column} FROM system_schema.{kind} WHERE keyspace_name = %s"
    return {name for (name,) in session.execute(statement, (keyspace,))}


def _create(address: CassandraAddress, session: Session, retention_days: int) -> None:
    """Make what is missing."""
    statements = create_statements(address.keyspace, retention_days)
    while missing := _missing(address, session):
        kind, name = missing.split()
        create = _create_keyspace(address, session) if kind == "keyspace" else statements[name.partition(".")[2]]
        try:
            session.execute(create, timeout=TABLES_PATIENCE)
        except AlreadyExists:
            continue
        except Unauthorized as error:
            raise StoreError(
                f"ADSTREAMS_CASSANDRA_USERNAME: {address} has no {missing}, and role {address.username} may not make"
                " it; grant that, or make it with schemas/cassandra.cql"
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
    """Write something that lives as long as rows may: servers before version 5 keep no time behind 2038."""
    life = min(days * DAY + counting_period(days * DAY), LONGEST_LIFE)
    statement = f"INSERT INTO {address.keyspace}.store (name) VALUES ('longest life') USING TTL {life}"
    try:
        session.execute(statement)
    except InvalidRequest as error:
        raise StoreError(f"ADSTREAMS_RETENTION_DAYS: {days} are too many: {reason(error)}") from error
