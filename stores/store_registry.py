"""The stores that there are, and the one that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from schemas.errors import SettingsError
from stores.base import Reader, Writer
from stores.cassandra.address import CassandraAddress
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter


class StoreSettings(Protocol):
    """The settings of stores: which one, and where it is; `settings.Settings` has them.

    >>> from types import SimpleNamespace
    >>> reader_of(SimpleNamespace(store="postgres"))
    Traceback (most recent call last):
    schemas.errors.SettingsError: ADSTREAMS_STORE: unknown store 'postgres'; choose one of sqlite, cassandra
    """

    @property
    def store(self) -> str:
        """One of `STORES`."""

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
        """Replicas that must acknowledge a write, or answer a read."""

    @property
    def retention_days(self) -> int:
        """Days that a row is kept after its event; 0 = for ever."""


@dataclass(frozen=True)
class StoreKind:
    """A kind of store.

    Attributes:
        setting: the setting that says where the store is; errors name it.
        noun: what the store is, for a person: a file or a keyspace.
        place: where it is, for a person.
        open_writer: opens it for writing. The `first` process of a dataflow makes what is missing, others wait for it.
        open_reader: opens it for reading.

    >>> STORES["sqlite"].setting, STORES["cassandra"].noun
    ('ADSTREAMS_SQLITE_PATH', 'keyspace')
    """

    setting: str
    noun: str
    place: Callable[[StoreSettings], str]
    open_writer: Callable[[StoreSettings, bool], Writer]
    open_reader: Callable[[StoreSettings], Reader]


def address_of(settings: StoreSettings) -> CassandraAddress:
    """The address of Cassandra in the settings."""
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


def _cassandra_writer(settings: StoreSettings, first: bool) -> Writer:
    from stores.cassandra.writer import CassandraWriter  # a driver that only this store needs

    return CassandraWriter(address_of(settings), first, settings.retention_days)


def _cassandra_reader(settings: StoreSettings) -> Reader:
    from stores.cassandra.reader import CassandraReader

    return CassandraReader(address_of(settings))


STORES = {
    "sqlite": StoreKind(
        setting="ADSTREAMS_SQLITE_PATH",
        noun="file",
        place=lambda settings: str(settings.sqlite_path),
        open_writer=lambda settings, _: SqliteWriter(settings.sqlite_path),
        open_reader=lambda settings: SqliteReader(settings.sqlite_path),
    ),
    "cassandra": StoreKind(
        setting="ADSTREAMS_CASSANDRA_KEYSPACE",
        noun="keyspace",
        place=lambda settings: f"keyspace {settings.cassandra_keyspace}",
        open_writer=_cassandra_writer,
        open_reader=_cassandra_reader,
    ),
}
"""Every kind of store, by the name that the setting ADSTREAMS_STORE has for it. A new store is one more entry."""


def store_kind(settings: StoreSettings) -> StoreKind:
    """The kind of store that the settings name.

    Raises:
        SettingsError: there is none of this name.
    """
    kind = STORES.get(settings.store)
    if kind is None:
        raise SettingsError(f"ADSTREAMS_STORE: unknown store {settings.store!r}; choose one of {', '.join(STORES)}")
    return kind


def writer_of(settings: StoreSettings, first: bool = True) -> Callable[[], Writer]:
    """Opens the store for writing; the `first` process of a dataflow makes tables, the others wait for them.

    Raises:
        SettingsError: the settings name an unknown store.
    """
    kind = store_kind(settings)
    return lambda: kind.open_writer(settings, first)


def reader_of(settings: StoreSettings) -> Callable[[], Reader]:
    """Opens the store for reading.

    Raises:
        SettingsError: the settings name an unknown store.
    """
    kind = store_kind(settings)
    return lambda: kind.open_reader(settings)
