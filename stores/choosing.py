"""The store that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from stores.base import NotedWriter, Reader
from stores.cassandra.address import CassandraAddress
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter


class StoreSettings(Protocol):
    """The settings that say which store, and where it is."""

    @property
    def store(self) -> str:
        """`sqlite` or `cassandra`."""

    @property
    def sqlite_path(self) -> Path:
        """File of the embedded store."""

    @property
    def cassandra_hosts(self) -> tuple[str, ...]:
        """Contact points."""

    @property
    def cassandra_port(self) -> int:
        """Port of the native protocol."""

    @property
    def cassandra_keyspace(self) -> str:
        """Keyspace of the tables."""

    @property
    def cassandra_datacenter(self) -> str | None:
        """Local data centre."""

    @property
    def cassandra_username(self) -> str | None:
        """Role to log in with."""

    @property
    def cassandra_password(self) -> SecretStr | None:
        """The role's password."""

    @property
    def cassandra_tls_ca(self) -> Path | None:
        """PEM file of the authority behind the servers' certificates."""

    @property
    def cassandra_consistency(self) -> str:
        """Replicas that must have a write, or answer a read."""

    @property
    def retention_days(self) -> int:
        """Days after its event at which a row goes; 0 = kept."""


def address_of(settings: StoreSettings) -> CassandraAddress:
    """Where the settings say that Cassandra is."""
    password = settings.cassandra_password
    return CassandraAddress(
        hosts=settings.cassandra_hosts,
        port=settings.cassandra_port,
        keyspace=settings.cassandra_keyspace,
        datacenter=settings.cassandra_datacenter,
        username=settings.cassandra_username,
        password=None if password is None else password.get_secret_value(),
        tls_ca=settings.cassandra_tls_ca,
        consistency=settings.cassandra_consistency,
    )


def writer_of(settings: StoreSettings, first: bool = True) -> Callable[[], NotedWriter]:
    """What opens the store for writing; the `first` process of a dataflow makes tables, the others wait for them."""
    if settings.store == "sqlite":
        return lambda: SqliteWriter(settings.sqlite_path)
    from stores.cassandra.writer import CassandraWriter

    address = address_of(settings)
    return lambda: CassandraWriter(address, first, settings.retention_days)


def reader_of(settings: StoreSettings) -> Callable[[], Reader]:
    """What opens the store for reading."""
    if settings.store == "sqlite":
        return lambda: SqliteReader(settings.sqlite_path)
    from stores.cassandra.reader import CassandraReader

    address = address_of(settings)
    return lambda: CassandraReader(address)
