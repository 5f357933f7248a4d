"""The Kafka cluster that a command works with, and the schema registry beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from schemas.avro.codec import Codec, load_schema
from schemas.errors import SettingsError
from settings import Settings
from topics.client import Kafka
from topics.registry_settings import registry_of

if TYPE_CHECKING:
    from topics.registry import Registry


def cluster_of(settings: Settings, brokers: str | None = None) -> Kafka:
    """The cluster that the settings name, or that of other bootstrap servers (host:port, with commas between them).

    Raises:
        SettingsError: the settings name none.
    """
    if brokers is not None:
        return Kafka([each.strip() for each in brokers.split(",")], settings.kafka_config, "--brokers")
    if settings.kafka_brokers:
        return Kafka(settings.kafka_brokers, settings.kafka_config)
    raise SettingsError("ADSTREAMS_KAFKA_BROKERS: needed for Kafka's topics")


@contextlib.contextmanager
def open_registry(settings: Settings, answering: bool = False) -> Iterator[Registry | None]:
    """The schema registry that the settings name, if any, while it is needed; where asked for, once it has answered.

    Raises:
        RegistryError: it is no address, or does not answer.
    """
    with registry_of(settings) or contextlib.nullcontext() as registry:
        if answering and registry is not None:
            registry.check()
        yield registry


def encoders(registry: Registry | None, topics: Sequence[str]) -> list[Codec]:
    """For each topic what encodes its events: framed with the id of their schema where there is a registry.

    Raises:
        RegistryError: it does not answer, or does not take the schema.
    """
    if registry is None:
        return [Codec() for _ in topics]
    return [Codec(writes_id=registry.register(f"{topic}-value", load_schema("event"))) for topic in topics]
