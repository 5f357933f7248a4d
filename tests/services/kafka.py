"""One Kafka broker that is its own controller."""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.services.artifacts import artifacts, java
from tests.services.ports import listens
from tests.services.problems import ServiceError
from tests.services.server import PATIENCE, Server

_HEAP = "512m"
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "auto.create.topics.enable": "false",
    # There is one broker to replicate to.
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # Fewer files of Kafka's own, and so quicker starts.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    # Nobody waits for what a cluster would wait for.
    "group.initial.rebalance.delay.ms": 0,
    # After a kill the controller waits this long for the broker that was.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    # Retention and compaction happen while a test looks.
    "log.initial.task.delay.ms": 100,
    "log.retention.check.interval.ms": 500,
    "log.cleaner.backoff.ms": 500,
    "log.segment.delete.delay.ms": 500,
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
}


class Kafka(Server):
    """Kafka in KRaft mode. Topics are made by those who need them.

    Args:
        folder: see `Server`.
        port: see `Server`.
        protocol: what clients speak: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`; their listener's name is
            `CLIENT`, as in `listener.name.client.plain.sasl.jaas.config`. `INTERNAL` and `CONTROLLER` stay plain.
        settings: properties of the broker, over those above.
        quick: see `Server`.
    """

    name: ClassVar[str] = "Kafka"
    _inner_count: ClassVar[int] = 2

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        protocol: str = "PLAINTEXT",
        settings: Mapping[str, object] | None = None,
        quick: bool = False,
    ) -> None:
        super().__init__(folder, port, quick)
        self._protocol = protocol
        self._settings = dict(settings or {})

    @property
    def brokers(self) -> str:
        """The bootstrap servers, as `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def admin(self) -> AdminClient:
        """A client that makes, trims and drops topics, by a plain listener whatever clients have to speak."""
        return AdminClient({"bootstrap.servers": f"127.0.0.1:{self._internal}", "log_level": 2})

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Make a topic that clients can use on return; `cleanup.policy` is given as `cleanup_policy`, and so on."""
        admin = self.admin()
        properties = {key.replace("_", "."): value for key, value in config.items()}
        admin.create_topics([NewTopic(name, partitions, 1, config=properties)])[name].result(60)
        # The controller has it now, and tells the broker a little later.
        deadline = time.monotonic() + PATIENCE
        while not _can_be_used(admin, name, partitions):
            if time.monotonic() > deadline:
                raise ServiceError(f"the new topic {name} did not appear")
            time.sleep(0.02)

    @property
    def _internal(self) -> int:
        return self._inner[0]

    def _prepare(self) -> None:
        clients, internal = f"CLIENT://{self.brokers}", f"INTERNAL://127.0.0.1:{self._internal}"
        controller = f"127.0.0.1:{self._inner[1]}"
        data = self.folder / "data"
        properties = {
            **_SETTINGS,
            "listeners": f"{clients},{internal},CONTROLLER://{controller}",
            "advertised.listeners": f"{clients},{internal}",
            "listener.security.protocol.map": f"CLIENT:{self._protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": data,
            **self._settings,
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        if not (data / "meta.properties").exists():
            self._format()

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        # A leading dash would be taken for an option.
        cluster = "a" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        tool = self._java("64m", "kafka.tools.StorageTool")
        done = subprocess.run(
            [*tool, "format", "-t", cluster, "-c", str(self._properties)], capture_output=True, text=True
        )
        if done.returncode:
            raise ServiceError(f"Kafka's folder could not be formatted:\n{done.stdout}{done.stderr}")

    def _command(self) -> list[str]:
        return [*self._java(_HEAP, "kafka.Kafka"), str(self._properties)]

    def _java(self, heap: str, main: str) -> list[str]:
        logger = "-Dorg.slf4j.simpleLogger"
        options = [
            f"-Xmx{heap}",
            "-Dfile.encoding=UTF-8",
            f"{logger}.defaultLogLevel=warn",
            f"{logger}.showDateTime=true",
        ]
        options.append(f"{logger}.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS")
        return [java(), *options, "-cp", f"{artifacts('kafka')}/*", main]

    def _answers(self) -> bool:
        # A connection alone says little; but without one the client would write about it.
        if not (listens(self.port) and listens(self._internal)):
            return False
        try:
            return bool(self.admin().list_topics(timeout=5).brokers)
        except KafkaException:
            return False


def _can_be_used(admin: AdminClient, topic: str, partitions: int) -> bool:
    found = admin.list_topics(topic, timeout=60).topics[topic]
    leaders = [partition.leader for partition in found.partitions.values()]
    return found.error is None and len(leaders) == partitions and min(leaders) >= 0
