"""One session per process and address, shared by its writers and readers."""

from __future__ import annotations

import logging
import os
import re
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cassandra import AuthenticationFailed, ConsistencyLevel, DependencyException, UnresolvableContactPoints
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.connection import ConnectionShutdown
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import PreparedStatement, tuple_factory

from schemas.errors import StoreError
from stores.cassandra.address import CassandraAddress
from stores.cassandra.driver_errors import ERRORS, store_errors
from stores.cassandra.protocol import Handler
from stores.cassandra.scans import Scan, View

PATIENCE = 10.0
"""Seconds to wait for a node when connecting, and for the response to a query."""
_HEARTBEAT = 5.0
"""Seconds between heartbeats on an idle connection: with `PATIENCE`, how soon a node that hangs is given up."""


class SharedSession:
    """A session with its prepared statements. Get one from `open_session`, and close it as often.

    >>> shared = SharedSession(CassandraAddress(("db1",)), session=None)
    >>> shared.scan("users", lambda: ["ann"], len).view()
    ['ann']
    """

    def __init__(self, address: CassandraAddress, session: Session) -> None:
        self.address, self.session = address, session
        self.users = 0
        self._prepared: dict[str, PreparedStatement] = {}
        self._scans: dict[str, Scan[Any]] = {}
        self._lock = threading.Lock()

    def prepare(self, statement: str) -> PreparedStatement:
        """The prepared statement; it is prepared once."""
        with self._lock, store_errors(self.address):
            if statement not in self._prepared:
                prepared = self.session.prepare(statement)
                prepared.is_idempotent = True
                self._prepared[statement] = prepared
            return self._prepared[statement]

    def scan(self, table: str, read: Callable[[], View], size: Callable[[View], int]) -> Scan[View]:
        """The view of a table, shared by all readers of the session."""
        with self._lock:
            return self._scans.setdefault(table, Scan(read, size))

    def close(self) -> None:
        """Release the session; the last release ends it."""
        with _lock:
            self.users -= 1
            if self.users:
                return
            _sessions.pop((os.getpid(), self.address), None)
        self.session.cluster.shutdown()


_sessions: dict[tuple[int, CassandraAddress], SharedSession] = {}
_lock = threading.Lock()


def open_session(address: CassandraAddress) -> SharedSession:
    """The process's session at an address; a forked process gets one of its own.

    Raises:
        StoreError: no node answers, the role is refused, or the data centre is unknown.
    """
    with _lock:
        key = os.getpid(), address
        if key not in _sessions:
            _sessions[key] = SharedSession(address, _connect(address))
        _sessions[key].users += 1
        return _sessions[key]


def _connect(address: CassandraAddress) -> Session:
    logger = logging.getLogger("cassandra")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)  # its lines have tracebacks; the store reports what matters
    cluster = _cluster(address)
    try:
        session = cluster.connect()
        _check_datacenter(address, cluster)
    except (*ERRORS, OSError) as error:
        refusal = _refusal(address, cluster, error)
        cluster.shutdown()
        raise refusal from error
    except StoreError:
        cluster.shutdown()
        raise
    session.client_protocol_handler = Handler
    return session


def _cluster(address: CassandraAddress) -> Cluster:
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(address.datacenter or "")),
        consistency_level=ConsistencyLevel.name_to_value[address.consistency],
        request_timeout=PATIENCE,
        row_factory=tuple_factory,
    )
    try:
        return Cluster(
            list(address.hosts),
            address.port,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connection_class=_event_loop(),
            compression=False,
            connect_timeout=max(2.0, PATIENCE / len(address.hosts)),
            control_connection_timeout=PATIENCE,
            idle_heartbeat_interval=_HEARTBEAT,
            idle_heartbeat_timeout=PATIENCE,
            reconnection_policy=ConstantReconnectionPolicy(1.0, None),
            application_name="ad-streams",
            auth_provider=_login(address),
            ssl_context=_tls(address),
        )
    except UnresolvableContactPoints as error:
        hosts = ",".join(address.hosts)
        raise StoreError(f"ADSTREAMS_CASSANDRA_HOSTS: no address is known for {hosts}") from error


def _event_loop() -> type[Any]:
    try:
        from cassandra.io.libevreactor import LibevConnection
    except (ImportError, DependencyException) as error:
        raise StoreError("Cassandra's driver was installed without libev, its only safe event loop") from error
    return LibevConnection  # type: ignore[no-any-return]


def _login(address: CassandraAddress) -> PlainTextAuthProvider | None:
    return None if address.username is None else PlainTextAuthProvider(address.username, address.password)


def _tls(address: CassandraAddress) -> ssl.SSLContext | None:
    """TLS to nodes with a certificate of this authority; names are not checked: the driver has addresses."""
    if address.tls_ca is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(address.tls_ca)
    except (ssl.SSLError, OSError) as error:
        raise StoreError(f"ADSTREAMS_CASSANDRA_TLS_CA: {address.tls_ca}: not a PEM certificate: {error}") from error
    return context


def _datacenters(cluster: Cluster) -> list[str]:
    return sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})


def _check_datacenter(address: CassandraAddress, cluster: Cluster) -> None:
    known = _datacenters(cluster)
    if address.datacenter is None and len(known) > 1:
        raise StoreError(f"ADSTREAMS_CASSANDRA_DATACENTER: required, since the cluster has {', '.join(known)}")
    if address.datacenter is not None and address.datacenter not in known:
        raise _unknown_datacenter(address, known)


def _unknown_datacenter(address: CassandraAddress, known: Iterable[str]) -> StoreError:
    names = ", ".join(known)
    return StoreError(
        f"ADSTREAMS_CASSANDRA_DATACENTER: unknown data centre {address.datacenter}; this cluster has {names}"
    )


def _refusal(address: CassandraAddress, cluster: Cluster, error: Exception) -> StoreError:
    """The error that says why there is no session."""
    told = error.errors if isinstance(error, NoHostAvailable) else None
    causes = list(told.values()) if isinstance(told, dict) and told else [error]
    known = _datacenters(cluster)
    if address.datacenter is not None and known and address.datacenter not in known:
        return _unknown_datacenter(address, known)
    for cause in causes:
        if isinstance(cause, AuthenticationFailed):
            if address.username is None:
                return StoreError(f"ADSTREAMS_CASSANDRA_USERNAME: required: Cassandra at {address} asks for a login")
            return StoreError(
                f"ADSTREAMS_CASSANDRA_USERNAME: Cassandra at {address} refuses role {address.username}"
                " with this password"
            )
        if refused := re.search(r"\[SSL[^]]*\] (.*?)( \(_ssl|$)", str(cause)):
            return StoreError(f"ADSTREAMS_CASSANDRA_TLS_CA: no encrypted connection to {address}: {refused.group(1)}")
    silence = f"ADSTREAMS_CASSANDRA_HOSTS: no Cassandra answers at {address} within {PATIENCE:.0f} s"
    if address.tls_ca is None and any(isinstance(cause, ConnectionResetError | ConnectionShutdown) for cause in causes):
        silence += "; it closed the connection; if it requires TLS, set ADSTREAMS_CASSANDRA_TLS_CA"
    return StoreError(silence)
