"""What stands beside topics: a registry, certificates and passwords, and a broker that refuses what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.avro.propensity_codec import PropensityCodec
from tests.flow.running import (
    PATIENCE,
    count,
    make_recovery,
    processes,
    run_flow,
    wait_for,
)
from tests.flow.streaming import Stream
from tests.flow.test_kafka_source import drain, events, last_line
from tests.jobs.running import jobs
from tests.services.certificates import KEYSTORE_PASSWORD, Authority
from tests.services.kafka import Kafka
from tests.services.ports import free_port
from tests.services.registry import Registry
from topics.registry import Registry as Lookup
from topics.whole_topic import read_topic

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required user_ann='secret';"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """That of the broker, and another."""
    folder = tmp_path_factory.mktemp("authorities")
    return Authority(folder, "ours"), Authority(folder, "other")


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, authorities: tuple[Authority, Authority], kafka: Kafka
) -> Iterator[Kafka]:
    """A broker that speaks only encrypted and asks for a password; `kafka` is asked for so that there is Java."""
    settings = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": PLAIN.replace("'", '"'),
        "listener.name.client.ssl.keystore.type": "PKCS12",
        "listener.name.client.ssl.keystore.location": authorities[0].keystore("127.0.0.1"),
        "listener.name.client.ssl.keystore.password": KEYSTORE_PASSWORD,
    }
    with Kafka(tmp_path_factory.mktemp("guarded"), protocol="SASL_SSL", settings=settings) as broker:
        yield broker


def login(authority: Authority, password: str = "secret") -> dict[str, str]:
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority.certificate),
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": password,
    }


def refusal(broker: Kafka, config: dict[str, str], store: Path) -> str:
    """The line with which a start is refused."""
    run = run_flow(**Stream(broker.brokers, config=config).settings, sqlite_path=store)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.startswith(f"ad-streams: ADSTREAMS_KAFKA_BROKERS: no broker answers at {broker.brokers}")
    return run.stderr


def test_certificate_and_password_are_given_with_the_other_settings_of_the_client(
    guarded: Kafka, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    stream = Stream(guarded.brokers, config=login(authorities[0])).make()
    stream.send(*events(20))
    drain(stream, make_recovery(tmp_path / "recovery"), tmp_path / "store.db", 20)


def test_a_wrong_password_is_told_at_the_start_and_not_shown(
    guarded: Kafka, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    line = refusal(guarded, login(authorities[0], "hunter2"), tmp_path / "store.db")
    assert "Authentication failed" in line
    assert "hunter2" not in line


def test_a_broker_that_another_authority_vouches_for_is_refused(
    guarded: Kafka, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    line = refusal(guarded, login(authorities[1]), tmp_path / "store.db")
    assert "certificate" in line
    assert "secret" not in line


def test_a_score_that_the_broker_refuses_ends_the_run(kafka: Kafka, tmp_path: Path) -> None:
    """Delivery is checked: nothing of its epoch is saved, and the next start publishes it."""
    stream, store, recovery = Stream(kafka.brokers).make(), tmp_path / "store.db", make_recovery(tmp_path / "recovery")
    propensity = f"{stream.name}-propensity"
    stream.kafka.make(propensity, 1, compacted=True)
    admin = kafka.admin()
    limit(admin, propensity, "20")
    stream.send(*events(20))
    with processes(1, recovery, sqlite_path=store, **stream.settings) as (flow,):
        _, errors = flow.communicate(timeout=PATIENCE)
    assert flow.returncode == 1
    assert last_line(errors).startswith(f"ad-streams: topic {propensity}: a message was not delivered: Broker: ")
    assert "Traceback" not in errors
    limit(admin, propensity, "1000000")
    drain(stream, recovery, store, 20)
    assert sum(map(len, read_topic(stream.kafka, propensity))) >= 20


def limit(admin: AdminClient, topic: str, size: str) -> None:
    """Let a topic take messages of so many bytes at the most."""
    entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(PATIENCE)


def test_a_registry_frames_what_comes_in_and_what_goes_out(kafka: Kafka, registry: Registry, tmp_path: Path) -> None:
    """As Confluent's serialisers do, from the simulator through the flow to the changelog."""
    stream, store = Stream(kafka.brokers), tmp_path / "store.db"
    settings = {"schema_registry_url": registry.url} | stream.settings
    run = jobs(
        "simulate", "--brokers", stream.brokers, "--events", 500, "--rate", 0, "--topics", ",".join(stream.topics),
        "--partitions", 2, **settings,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with processes(1, make_recovery(tmp_path / "recovery"), sqlite_path=store, **settings) as (flow,):
        wait_for(lambda: count(store) == 500 and stream.is_read(), flow)
        flow.terminate()
        _, errors = flow.communicate(timeout=PATIENCE)
    assert "500 scored" in errors
    assert " 0 dead letters" in errors
    values = [each.value for part in read_topic(stream.kafka, f"{stream.name}-propensity") for each in part]
    assert {value[:1] for value in values if value} == {b"\0"}
    with Lookup(registry.url) as lookup:
        codec = PropensityCodec(lookup=lookup)
        assert {codec.decode_one(value).model_id for value in values if value} == {"default"}


def test_a_registry_that_does_not_answer_is_told_at_the_start(tmp_path: Path) -> None:
    url = f"http://ann:hunter2@127.0.0.1:{free_port()}"
    run = run_flow(schema_registry_url=url, sqlite_path=tmp_path / "store.db", simulator_events=1)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.startswith("ad-streams: ADSTREAMS_SCHEMA_REGISTRY_URL: ")
    assert "hunter2" not in run.stderr
