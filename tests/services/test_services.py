"""The servers themselves: they answer, keep their data, can be set up, and end with the program that started them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import Session
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from tests.flow.running import ROOT, wait_for
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.services.problems import PortTaken, ServiceError
from tests.services.registry import Registry
from tests.services.server import Server

_RECORD = json.dumps({"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}]})


def send(kafka: Kafka, topic: str, *values: bytes, **config: Any) -> None:
    producer = Producer({"bootstrap.servers": kafka.brokers, **config})
    errors: list[object] = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, message: errors.append(error))
    producer.flush(60)
    assert errors == [None] * len(values)


def messages(kafka: Kafka, topic: str, number: int, **config: Any) -> set[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.brokers, "group.id": topic, "auto.offset.reset": "earliest", **config}
    )
    consumer.subscribe([topic])
    read = consumer.consume(number, 60)
    consumer.close()
    return {message.value() for message in read}


def make_table(session: Session, keyspace: str) -> None:
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}")
    session.execute(f"CREATE TABLE {keyspace}.t (a int PRIMARY KEY)")


def rows(cassandra: Cassandra, keyspace: str) -> set[int]:
    with cassandra.session() as session:
        return {row.a for row in session.execute(f"SELECT a FROM {keyspace}.t")}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_keeps_what_was_sent(own_kafka: Kafka, topic_prefix: str, end: str) -> None:
    """Messages that were acknowledged are there after a stop and after a kill, at the same address."""
    topic, brokers = f"{topic_prefix}kept", own_kafka.brokers
    own_kafka.create_topic(topic, 2)
    send(own_kafka, topic, b"a", b"b")
    getattr(own_kafka, end)()
    assert not own_kafka.running
    own_kafka.start()
    assert own_kafka.brokers == brokers
    send(own_kafka, topic, b"c")
    assert messages(own_kafka, topic, 3) == {b"a", b"b", b"c"}


def test_kafka_makes_no_topic_by_itself(kafka: Kafka, topic_prefix: str) -> None:
    """A topic that a client asks about is not made by that."""
    name = f"{topic_prefix}none"
    topics = Producer({"bootstrap.servers": kafka.brokers}).list_topics(name, timeout=60).topics
    error = topics[name].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_paused_server_answers_when_it_is_resumed(own_kafka: Kafka) -> None:
    """Connections stay open meanwhile, and nothing comes."""
    client = Producer({"bootstrap.servers": own_kafka.brokers})
    assert client.list_topics(timeout=60).brokers
    own_kafka.pause()
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.5)
    own_kafka.resume()
    assert client.list_topics(timeout=60).brokers


def test_cassandra_keeps_rows(own_cassandra: Cassandra) -> None:
    """A restarted server has its rows, at the same port."""
    port = own_cassandra.port
    with own_cassandra.session() as session:
        make_table(session, "own")
        session.execute("INSERT INTO own.t (a) VALUES (1)")
    own_cassandra.restart()
    assert own_cassandra.port == port
    assert rows(own_cassandra, "own") == {1}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_registry_keeps_schemas(own_registry: Registry, topic_prefix: str, end: str) -> None:
    """An id is that of one schema whatever the subject, before and after; an unknown one is a 404."""
    with SchemaRegistryClient({"url": own_registry.url}) as client:
        number = client.register_schema(f"{topic_prefix}value", Schema(_RECORD, "AVRO"))
        assert client.register_schema(f"{topic_prefix}other", Schema(_RECORD, "AVRO")) == number
    getattr(own_registry, end)()
    own_registry.start()
    with SchemaRegistryClient({"url": own_registry.url}) as client:
        text = client.get_schema(number).schema_str
        assert text is not None
        assert json.loads(text) == json.loads(_RECORD)
        assert client.get_latest_version(f"{topic_prefix}value").schema_id == number
        with pytest.raises(SchemaRegistryError) as caught:
            client.get_schema(number + 1_000)
        assert caught.value.http_status_code == 404


@pytest.mark.needs("java")
def test_kafka_may_ask_for_a_password(tmp_path: Path) -> None:
    """A broker of a test's own with other properties, and a plain way in for its administration."""
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ann="secret";'
    settings = {"sasl.enabled.mechanisms": "PLAIN", "listener.name.client.plain.sasl.jaas.config": login}
    with Kafka(tmp_path / "kafka", protocol="SASL_PLAINTEXT", settings=settings, quick=True) as kafka:
        kafka.create_topic("locked")
        known = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ann"}
        send(kafka, "locked", b"a", **known, **{"sasl.password": "secret"})
        assert messages(kafka, "locked", 1, **known, **{"sasl.password": "secret"}) == {b"a"}
        wrong = Producer({"bootstrap.servers": kafka.brokers, **known, "sasl.password": "wrong", "log_level": 0})
        with pytest.raises(KafkaException):
            wrong.list_topics(timeout=2)


@pytest.mark.needs("java")
def test_cassandra_may_ask_for_a_password_encrypt_and_lose_nothing(tmp_path: Path) -> None:
    """With TLS, a login, and a commit log written before the answer: a kill loses no row."""
    store = tmp_path / "store.p12"
    make = ["keytool", "-genkeypair", "-keyalg", "RSA", "-dname", "CN=127.0.0.1", "-alias", "node"]
    subprocess.run([*make, "-keystore", store, "-storepass", "secret"], check=True, capture_output=True)
    settings = {
        "commitlog_sync": "batch",
        "client_encryption_options": {
            "enabled": True, "optional": False, "keystore": str(store), "keystore_password": "secret",
        },
    }  # fmt: skip
    with Cassandra(tmp_path / "cassandra", authenticated=True, settings=settings, quick=True) as cassandra:
        with cassandra.session() as session:
            make_table(session, "own")
            for number in range(100):
                session.execute(f"INSERT INTO own.t (a) VALUES ({number})")
            cassandra.kill()
        cassandra.start()
        assert rows(cassandra, "own") == set(range(100))


@pytest.mark.needs("java")
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error has the end of the server's log, and no process is left."""
    cassandra = Cassandra(tmp_path / "cassandra", settings={"no_such_setting": 1}, quick=True)
    with pytest.raises(ServiceError, match="no_such_setting"):
        cassandra.start()
    assert not cassandra.running


@pytest.mark.parametrize("kind", [Kafka, Cassandra, Registry])
def test_a_taken_port_is_said_before_anything_starts(kind: type[Server], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = kind(tmp_path / "server", port)
        with pytest.raises(PortTaken, match=f"port {port} is taken"):
            server.start()
    assert not server.running


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait for somebody to take note."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.needs("java")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux binds a process to the one that started it")
def test_a_server_ends_with_a_program_that_is_killed(tmp_path: Path) -> None:
    """Nothing is left behind by a run of tests that somebody kills, though it started the server in a thread."""
    program = (
        "import sys, threading, pathlib\n"
        "from tests.services.registry import Registry\n"
        "server = Registry(pathlib.Path(sys.argv[1]))\n"
        "thread = threading.Thread(target=server.start); thread.start(); thread.join()\n"
        "print(server.pid, flush=True); sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "registry")],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
    wait_for(lambda: not is_alive(pid))


def test_artifacts_are_fetched_once_by_two_processes(tmp_path: Path) -> None:
    """The second one waits, and finds what the first one fetched; a failure leaves nothing behind."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        '#!/bin/sh\necho called >> "$CALLS"\n[ -n "$FAIL" ] && { echo no such artifact; exit 1; }\n'
        "for each; do case $each in -Dinto=*) into=${each#-Dinto=};; esac; done\n"
        'mkdir "$into"; echo jar > "$into/a.jar"\n'
    )
    maven.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{maven.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path),
        "CALLS": str(tmp_path / "calls"),
    }
    command = [sys.executable, "-c", "from tests.services.artifacts import artifacts; print(artifacts('kafka'))"]
    failed = subprocess.run(command, cwd=ROOT, env=environment | {"FAIL": "1"}, capture_output=True, text=True)
    assert "Maven could not fetch kafka.xml:\nno such artifact" in failed.stderr
    both = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    (folder,) = {process.communicate()[0].strip() for process in both}
    assert (Path(folder) / "a.jar").read_text() == "jar\n"
    assert (tmp_path / "calls").read_text() == "called\n" * 2
    assert {path.name for path in Path(folder).parent.iterdir()} == {Path(folder).name, "lock"}
