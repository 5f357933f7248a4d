"""The Kafka cluster that a command works with."""

from __future__ import annotations

from settings import Settings, SettingsError
from topics.client import Kafka


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
