"""Clients of one Kafka cluster, and what is asked of it before anything starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from schemas.errors import TopicError
from topics.native.fetching import Fetcher
from topics.native.sending import Sender

Client = TypeVar("Client", Consumer, Fetcher, Producer, Sender, AdminClient)

TIMEOUT = 10.0
"""Seconds that a broker gets to answer a question."""
SILENT = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
"""Errors of a client that finds no broker."""
_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
}
_PRODUCER = {"enable.idempotence": True}
GROUP = "ad-streams"
"""Consumer group whose offsets are committed, where the settings name no other: for lag tools only."""

QUIET = 60.0
"""Seconds before the same complaint is logged again."""

log = logging.getLogger("adstreams.kafka")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the cluster describes it. `id` tells it from a later one of the same name."""

    name: str
    id: str
    partitions: int


@dataclass(frozen=True)
class Kafka:
    """How to reach a cluster: its bootstrap servers, and librdkafka settings for TLS, SASL and tuning."""

    brokers: Sequence[str]
    config: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    named: str = "ADSTREAMS_KAFKA_BROKERS"
    """Where the brokers were named, for who has to put them right."""

    def consumer(self, settings: Mapping[str, object]) -> Consumer:
        """A consumer that commits nothing by itself and refuses an offset that is not there.

        `settings` are librdkafka's; what the user configured counts more.
        """
        return self._made(Consumer, {"group.id": GROUP} | dict(settings), _CONSUMER)

    def fetcher(self, topic: str, settings: Mapping[str, object], on_commit: Callable[[KafkaError], None]) -> Fetcher:
        """A consumer like `consumer`, of one topic, for many messages at a time."""
        made = partial(_by_the_batch, Fetcher, topic, on_commit)
        return self._made(made, {"group.id": GROUP} | dict(settings), _CONSUMER)

    def producer(self, settings: Mapping[str, object]) -> Producer:
        """An idempotent producer, which waits for all replicas and keeps the order of what it is given."""
        return self._made(Producer, settings, _PRODUCER)

    def sender(self, topic: str, settings: Mapping[str, object], on_failed: Callable[[KafkaError], None]) -> Sender:
        """A producer like `producer`, into one topic, of many messages at a time."""
        return self._made(partial(_by_the_batch, Sender, topic, on_failed), settings, _PRODUCER)

    def admin(self, heard: Complaints | None = None) -> AdminClient:
        """A client for questions about the cluster; it drops what it was asked when nobody holds it."""
        return self._made(AdminClient, {}, {"error_cb": heard or Complaints()})

    def describe(self, names: Sequence[str]) -> dict[str, Topic]:
        """The topics of these names that are there.

        Raises:
            TopicError: no broker answers, or they cannot be described.
        """
        found, wanted = {}, TopicCollection(list(names))
        for name, answer in self._ask(lambda admin: admin.describe_topics(wanted, request_timeout=TIMEOUT)).items():
            if not isinstance(answer, KafkaError):
                found[name] = Topic(name, str(answer.topic_id), len(answer.partitions))
            elif answer.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicError(f"topic {name}: {answer.str()}")
        return found

    def is_compacted(self, name: str) -> bool:
        """Whether a topic keeps the last message of every key; a cluster that does not tell is believed to.

        Raises:
            TopicError: no broker answers.
        """
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        (answer,) = self._ask(lambda admin: admin.describe_configs([resource], request_timeout=TIMEOUT)).values()
        told = not isinstance(answer, KafkaError) and "cleanup.policy" in answer
        return not told or "compact" in str(answer["cleanup.policy"].value)

    def require(self, names: Sequence[str]) -> dict[str, Topic]:
        """All topics of these names.

        Raises:
            TopicError: one is missing, or they cannot be described.
        """
        found = self.describe(names)
        missing = [name for name in names if name not in found]
        if missing:
            raise TopicError(
                f"ADSTREAMS_KAFKA_TOPICS: no topic {missing[0]} at {','.join(self.brokers)}; make it first"
                " (python -m jobs simulate --brokers makes those that it fills)"
            )
        return {name: found[name] for name in names}

    def make(self, name: str, partitions: int, compacted: bool = False) -> None:
        """Make a topic with the cluster's default replication; one that is there is left as it is.

        Raises:
            TopicError: it cannot be made.
        """
        config = {"cleanup.policy": "compact"} if compacted else {}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config=config)
        (answer,) = self._ask(lambda admin: admin.create_topics([topic], request_timeout=TIMEOUT)).values()
        if isinstance(answer, KafkaError) and answer.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise TopicError(f"topic {name}: it is not there and cannot be made: {answer.str()}")
        deadline = time.monotonic() + TIMEOUT
        while not self.describe([name]):  # every broker must have heard of it
            if time.monotonic() > deadline:
                raise TopicError(f"topic {name}: it was made, but the brokers do not know it after {TIMEOUT:.0f} s")
            time.sleep(0.05)

    def unreachable(self, why: str = "") -> TopicError:
        """What to say when no broker answers, and why, where that is known."""
        brokers = ",".join(self.brokers)
        return TopicError(f"{self.named}: no broker answers at {brokers} within {TIMEOUT:.0f} s{why and f': {why}'}")

    def _ask(self, question: Callable[[AdminClient], Mapping[Any, Future[Any]]]) -> dict[Any, Any]:
        """The answers of the cluster, or `KafkaError`s in their places; no broker at all is a `TopicError`."""
        heard = Complaints(loud=False)
        admin, answers = self.admin(heard), {}
        for name, future in question(admin).items():
            try:
                answers[name] = future.result(2 * TIMEOUT)
            except (KafkaException, TimeoutError) as error:
                answers[name] = error.args[0] if isinstance(error, KafkaException) else None
                if answers[name] is None or answers[name].code() in SILENT:
                    admin.poll(0)
                    raise self.unreachable(heard.why) from None
        return answers

    def _made(self, kind: Callable[..., Client], ours: Mapping[str, object], fixed: Mapping[str, object]) -> Client:
        # librdkafka's own log lines are of threads and states; what matters comes through `error_cb`.
        common = {"client.id": GROUP, "log_level": 2, "error_cb": Complaints()}
        servers = {"bootstrap.servers": ",".join(self.brokers)}
        try:
            return kind(common | dict(ours) | dict(self.config) | dict(fixed) | servers, logger=log)
        except (KafkaException, TypeError, ValueError) as error:
            why = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise TopicError(f"ADSTREAMS_KAFKA_CONFIG: {why}") from None


def _by_the_batch(
    kind: Callable[..., Client], topic: str, note: Callable[[KafkaError], None], config: dict[str, Any], logger: object
) -> Client:
    return kind(config, topic, config.pop("error_cb"), note)


def passes(error: KafkaError) -> bool:
    """Whether the client gets over an error by itself."""
    return error.retriable() or error.code() in SILENT


class Complaints:
    """What a client complains about: logged where it is `loud`, and the same again once a minute at the most."""

    def __init__(self, loud: bool = True) -> None:
        self._loud, self._told = loud, dict[str, float]()
        self.why = ""
        """The first complaint that says more than that no broker is there, without the client's own details."""

    def __call__(self, error: KafkaError) -> None:
        """Take a complaint."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.why = self.why or error.str().partition(" (after ")[0].partition("/bootstrap: ")[2] or error.str()
        now = time.monotonic()
        if self._loud and now - self._told.get(error.name(), -QUIET) >= QUIET:
            self._told[error.name()] = now
            log.warning("Kafka: %s", error.str())
