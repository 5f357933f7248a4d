"""Starting a flow: read the settings, check everything that a start relies on, and make the flow's source and parts.

Nothing is read from the source, and nothing is written but notes about the start, before all checks have passed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytewax.inputs import Source as BytewaxSource

from schemas.avro.codec import Codec, codec, load_schema
from schemas.avro.propensity_codec import PropensityCodec
from schemas.errors import LogFileError, ServiceError, SettingsError
from schemas.logs.log_files import LogFile
from settings import Settings, Source, load_settings, start_logging, stop
from steps.flow_parts import Parts, parts_of
from steps.known_models import models_at_start
from steps.process import ending
from steps.process.clock import watch_clock
from steps.process.heartbeat import Heartbeat
from steps.process.peers import watch_start
from steps.process.recovery import (
    check_recovery,
    is_first_process,
    lock_recovery,
    lock_store,
    process_addresses,
    process_number,
    recovery_directory,
    state_in,
    widen_pages,
)
from steps.process.snapshots import check_snapshots
from steps.process.store_provenance import check_provenance, note_provenance, provenance_of
from steps.sources.file import FileSource
from steps.sources.kafka import KafkaSource, watch
from steps.sources.simulator import SimulatorSource
from stores.base import Writer
from stores.store_registry import reader_of, writer_of
from topics.client import Kafka, Topic
from topics.outlets import Topics
from topics.registry_settings import registry_of

if TYPE_CHECKING:
    from topics.registry import Registry

log = logging.getLogger("adstreams")


def start(arguments: list[str]) -> tuple[BytewaxSource[Any], Parts]:
    """The source and the parts of the flow that the environment's settings describe.

    Whatever is wrong with the settings, or with what they name, ends the program with one line.

    Args:
        arguments: those of `python -m bytewax.run`, which name the recovery directory and the process.
    """
    directory, read = recovery_directory(arguments), dict[str, Topic]()
    number, addresses = process_number(arguments), process_addresses(arguments)
    if directory is not None:
        ending.watch_saving(directory)
    start_logging()
    os.umask(os.umask(0) | 0o077)  # what the flow and Bytewax make beside the store is this user's alone
    try:
        settings = load_settings()
        kafka = Kafka(settings.kafka_brokers, settings.kafka_config)
        registry = registry_of(settings)
        if registry is not None:
            registry.check()
        reading, topics = Codec(lookup=registry, time_unit=settings.time_unit), None
        if settings.source is Source.KAFKA:
            read = kafka.require(settings.kafka_topics)
            topics = topics_of(settings, kafka, registry, max(topic.partitions for topic in read.values()))
        source = source_of(settings, reading, kafka, read)
        open_writer = writer_of(settings, is_first_process(arguments))
        writer = open_writer()
        check_held(settings, writer, directory, arguments, read)
        heartbeat = Heartbeat(number, max(len(addresses), 1), settings.source is Source.KAFKA)
        parts = parts_of(
            settings.loaded_model,
            open_writer,
            settings,
            reading,
            topics,
            controlled=True,
            open_reader=reader_of(settings),
            erasures=writer.erasures(),
            models=models_at_start(writer, settings.loaded_model, is_first_process(arguments)),
            grades=writer.grades(),
            heartbeat=heartbeat,
        )
        heartbeat.begin(writer, open_writer)
        writer.close()
    except (SettingsError, ServiceError) as error:
        stop(error)
    ending.prepare()
    watch_start(number, addresses, settings.peer_timeout)
    watch_clock()
    if read:
        watch(kafka, read)
    return source, parts


def check_held(
    settings: Settings, writer: Writer, directory: Path | None, arguments: list[str], read: Mapping[str, Topic]
) -> None:
    """Check that what the recovery directory and the store hold fits the settings, and take hold of both.

    The first process notes in them what fills them.

    Raises:
        SettingsError: another flow holds one, one is damaged, or a setting must not change.
        StoreError: the store cannot be read or written.
    """
    is_first = is_first_process(arguments)
    if directory is not None:
        lock_recovery(directory, arguments)
    lock_store(settings, arguments)
    state = state_in(directory) if directory is not None else None
    if directory is not None and state is not None:  # a used directory names the difference more exactly
        check_recovery(directory, settings, writer.store_id, read)
    filling = provenance_of(settings, settings.files, read, state)
    if is_first:
        check_provenance(writer, settings, filling)
    if directory is not None:
        filling = replace(filling, state=check_recovery(directory, settings, writer.store_id, read))
        if is_first:
            check_snapshots(directory)
        widen_pages(directory, arguments)
    if is_first:
        note_provenance(writer, settings, filling)


def source_of(settings: Settings, reading: Codec, kafka: Kafka, topics: Mapping[str, Topic]) -> BytewaxSource[Any]:
    """The source that the settings name.

    Raises:
        SettingsError: it cannot be read.
    """
    match settings.source:
        case Source.KAFKA:
            return KafkaSource(kafka, topics, reading.time_of, settings.max_skew)
        case Source.FILE:
            try:
                files = [LogFile(path, settings.time_format) for path in settings.files]
            except LogFileError as error:
                raise SettingsError(f"ADSTREAMS_FILE: {error}") from None
            for line in (line for file in files for line in file.remarks):
                log.warning("%s", line)
            return FileSource(files)
        case Source.SIMULATOR:
            return SimulatorSource(
                codec(),
                settings.simulator_users,
                settings.simulator_events,
                settings.simulator_rate,
                settings.simulator_seed,
                settings.simulator_start_time,
            )


def topics_of(settings: Settings, kafka: Kafka, registry: Registry | None, partitions: int) -> Topics:
    """The topics that the settings name to publish to, made where they are missing.

    Raises:
        TopicError: one cannot be made.
        RegistryError: the registry does not take the scores' schema.
    """
    scores, letters = settings.kafka_propensity_topic, settings.kafka_dead_letter_topic
    there = kafka.describe([scores, letters])
    for name, wanted in ((scores, partitions), (letters, 1)):
        if name not in there:
            kafka.make(name, wanted, compacted=True)
        elif not kafka.is_compacted(name):
            log.warning("topic %s is not compacted: what it holds goes with its retention, and cannot be rebuilt", name)
    schema_id = registry.register(f"{scores}-value", load_schema("propensity")) if registry else None
    return Topics(kafka, scores, letters, PropensityCodec(schema_id))
