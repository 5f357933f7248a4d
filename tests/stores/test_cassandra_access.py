"""Who may use Cassandra: roles, encryption, data centres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.errors import StoreError
from stores.cassandra import tables
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.cassandra.writer import CassandraWriter
from tests.services.cassandra import Cassandra
from tests.services.certificates import KEYSTORE_PASSWORD, Authority
from tests.stores.conftest import address_of
from tests.stores.rows import event, point, scored

PASSWORD = "between us"


def refusal(address: CassandraAddress) -> str:
    """The line with which a writer is refused."""
    with pytest.raises(StoreError) as error:
        CassandraWriter(address)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """That of the server, and another."""
    folder = tmp_path_factory.mktemp("authorities")
    return Authority(folder, "ours"), Authority(folder, "other")


@pytest.fixture(scope="module")
def guarded(
    cassandra: Cassandra, authorities: tuple[Authority, Authority], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cassandra]:
    """A server that asks for a role, and speaks only encrypted; skipped where the other one is."""
    encryption = {
        "enabled": True,
        "optional": False,
        "keystore": str(authorities[0].keystore("127.0.0.1")),
        "keystore_password": KEYSTORE_PASSWORD,
        "store_type": "PKCS12",
    }
    folder = tmp_path_factory.mktemp("guarded")
    caches = dict.fromkeys(("permissions_validity", "roles_validity", "credentials_validity"), "0ms")
    settings = {"client_encryption_options": encryption, **caches}
    with Cassandra(folder, authenticated=True, settings=settings) as server:
        with server.session() as session:
            session.execute(f"CREATE ROLE stream WITH PASSWORD = '{PASSWORD}' AND LOGIN = true")
        yield server


@pytest.fixture
def allowed(guarded: Cassandra, authorities: tuple[Authority, Authority], keyspace: str) -> Iterator[CassandraAddress]:
    """A keyspace, not there yet, as the role `stream` reaches it."""
    yield address_of(guarded, keyspace, username="stream", password=PASSWORD, tls_ca=authorities[0].certificate)
    with guarded.session() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {keyspace}")


def but(address: CassandraAddress, **fields: object) -> CassandraAddress:
    """An address that differs in some settings."""
    return CassandraAddress(**{name: getattr(address, name) for name in address.__slots__} | fields)


def test_a_role_that_may_not_create_is_told_what_is_missing(guarded, allowed):
    """First the keyspace, then each table; once all are there and it may read and write, it is let in."""
    name = allowed.keyspace
    line = refusal(allowed)
    assert line.startswith(f"ADSTREAMS_CASSANDRA_USERNAME: {allowed} has no keyspace {name}, and role stream may not")
    assert "schemas/cassandra.cql" in line
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    with guarded.session() as session:
        session.execute(f"CREATE KEYSPACE {name} WITH replication = {replication}")
        session.execute(f"GRANT SELECT ON KEYSPACE {name} TO stream")
        for table, statement in tables.create_statements(name).items():
            assert f"has no table {name}.{table}, and role stream may not create it" in refusal(allowed)
            session.execute(statement)
        assert "stream" in refusal(allowed)
        session.execute(f"GRANT MODIFY ON KEYSPACE {name} TO stream")
    writer = CassandraWriter(allowed)
    writer.write(scored(event()))
    writer.flush()
    reader = CassandraReader(allowed)
    assert reader.curve("u") == [point(event())]
    for each in (writer, reader):
        each.close()


def test_a_role_that_loses_its_rights_fails_at_once(guarded, allowed):
    with guarded.session() as session:
        session.execute("GRANT CREATE ON ALL KEYSPACES TO stream")
        writer = CassandraWriter(allowed)
        session.execute("REVOKE CREATE ON ALL KEYSPACES FROM stream")
        for table in tables.create_statements(allowed.keyspace):  # who makes a table has all rights to it
            session.execute(f"REVOKE ALL ON {allowed.keyspace}.{table} FROM stream")
        session.execute(f"REVOKE ALL ON KEYSPACE {allowed.keyspace} FROM stream")
    writer.write(scored(event()))
    with pytest.raises(StoreError, match="MODIFY") as error:
        writer.flush()
    assert "\n" not in str(error.value)
    writer.close()


def test_a_wrong_password_and_no_role_at_all_name_the_setting(allowed):
    line = refusal(but(allowed, password="wrong"))
    assert line == (f"ADSTREAMS_CASSANDRA_USERNAME: Cassandra at {allowed} refuses role stream with this password")
    line = refusal(but(allowed, username=None, password=None))
    assert line == f"ADSTREAMS_CASSANDRA_USERNAME: required: Cassandra at {allowed} asks for a login"


def test_a_certificate_of_another_authority_names_the_setting(allowed, authorities):
    line = refusal(but(allowed, tls_ca=authorities[1].certificate))
    assert line.startswith(f"ADSTREAMS_CASSANDRA_TLS_CA: no encrypted connection to {allowed}: ")
    assert "certificate" in line


def test_a_file_that_is_no_certificate_names_the_setting(allowed, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    assert refusal(but(allowed, tls_ca=file)).startswith(f"ADSTREAMS_CASSANDRA_TLS_CA: {file}: ")


def test_an_unencrypted_connection_to_a_server_that_wants_encryption_says_so(allowed):
    line = refusal(but(allowed, tls_ca=None))
    assert line.startswith("ADSTREAMS_CASSANDRA_HOSTS: no Cassandra answers at ")
    assert line.endswith("if it requires TLS, set ADSTREAMS_CASSANDRA_TLS_CA")


def test_an_encrypted_connection_to_a_server_that_has_none_names_the_setting(cassandra, authorities):
    line = refusal(address_of(cassandra, "k", tls_ca=authorities[0].certificate))
    assert line.startswith("ADSTREAMS_CASSANDRA_TLS_CA: no encrypted connection to ")


def test_several_data_centres_and_none_given_are_listed(guarded, allowed):
    """A second one is made up in the node's table of its peers."""
    with guarded.session() as admin:
        peer = "'127.0.0.2', 7000, 'moon', 'rack1', uuid(), '5.0.0', '127.0.0.2', 9042, uuid(), {'1'}"
        admin.execute(
            "INSERT INTO system.peers_v2 (peer, peer_port, data_center, rack, host_id, release_version, native_address,"
            f" native_port, schema_version, tokens) VALUES ({peer})"
        )
        try:
            assert refusal(allowed) == (
                "ADSTREAMS_CASSANDRA_DATACENTER: required, since the cluster has datacenter1, moon"
            )
            line = refusal(but(allowed, datacenter="mars"))
            assert line.endswith("DATACENTER: unknown data centre mars; this cluster has datacenter1, moon")
        finally:
            admin.execute("DELETE FROM system.peers_v2 WHERE peer = '127.0.0.2' AND peer_port = 7000")
