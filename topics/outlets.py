"""The topics that a flow publishes to."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.avro.propensity_codec import PropensityCodec
from topics.client import Kafka


@dataclass(frozen=True)
class Topics:
    """Where a flow publishes what it also stores: scores as the changelog of the latest ones, and dead letters."""

    kafka: Kafka
    propensity: str
    dead_letters: str
    codec: PropensityCodec
