"""The address of a Cassandra keyspace, and how to connect to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CassandraAddress:
    """A keyspace of a cluster; each field is a setting `ADSTREAMS_CASSANDRA_*`, which errors name.

    >>> str(CassandraAddress(("db1", "db2"), keyspace="shop"))
    'db1,db2 port 9042'
    """

    hosts: tuple[str, ...]
    port: int = 9042
    keyspace: str = "adstreams"
    datacenter: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None
    consistency: str = "LOCAL_QUORUM"

    def __str__(self) -> str:
        return f"{','.join(self.hosts)} port {self.port}"
