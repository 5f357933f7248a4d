"""The dataflow: events in, propensity over time out.

Run it with `python -m bytewax.run dataflow`; settings are environment variables `ADSTREAMS_*` (see README.md).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source as BytewaxSource

from model.durations import to_milliseconds
from model.scoring.propensity import Model
from schemas.avro.codec import Codec, codec, load_schema
from schemas.avro.propensity_codec import PropensityCodec
from schemas.erasures import Erasure
from schemas.errors import LogFileError, ServiceError, SettingsError
from schemas.grades import Grade
from schemas.logs.log_files import LogFile
from schemas.stored_models import StoredModel
from settings import Settings, Source, load_settings, start_logging, stop
from steps.buckets import bucket_splitter
from steps.campaign_watch import ENOUGH, CampaignWatch
from steps.decode import decoder
from steps.forgetting import Erasures, ErasureSource, keyed_erasures, letter_eraser
from steps.known_models import KnownModels, models_at_start
from steps.process import ending
from steps.process.clock import watch_clock
from steps.process.control import ControlSource, obey
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
from steps.progress import ProgressSink, count_decoded, count_scored, count_sequenced
from steps.publish import SharedPublisher, letter_publisher, row_publisher
from steps.score import score
from steps.sequencing import keyed_letters, late_letters, sequencer
from steps.sources.file import FileSource
from steps.sources.kafka import KafkaSource, watch
from steps.sources.simulator import SimulatorSource
from steps.write import SharedWriter, letter_writer, row_writer
from stores.base import Reader, Writer
from stores.choosing import reader_of, writer_of
from topics.client import Kafka, Topic
from topics.publisher import BatchPublisher, Publisher
from topics.registry_settings import registry_of

if TYPE_CHECKING:
    from topics.registry import Registry

log = logging.getLogger("adstreams")


@dataclass(frozen=True)
class Topics:
    """Where a flow publishes what it also stores: scores as the changelog of the latest ones, and dead letters."""

    kafka: Kafka
    propensity: str
    dead_letters: str
    codec: PropensityCodec


def build_flow(
    source: BytewaxSource[Any],
    model: Model,
    open_writer: Callable[[], Writer],
    settings: Settings,
    reading: Codec | None = None,
    topics: Topics | None = None,
    controlled: bool = False,
    open_reader: Callable[[], Reader] | None = None,
    known: Sequence[Erasure] = (),
    stored: Sequence[StoredModel] = (),
    grades: Sequence[Grade] = (),
    heartbeat: Heartbeat | None = None,
) -> Dataflow:
    """The whole flow, from a source of raw batches to a store, and to topics where they are given.

    A `controlled` flow ends in all its processes when one of them is asked to; its source tells
    `steps.process.ending` when it is over. Any other one ends with its source. With `open_reader` the flow follows the
    store's tables of erasures and models, and deletes dead letters too; what is `known` of erasures at the start keeps
    erased events out from the first one on, and rows are scored by `model`, or by what follows it among the `stored`
    ones. A model that `grades` speak against recommends nothing. The follower also reports this process by its
    `heartbeat`.
    """
    writer = SharedWriter(open_writer)
    look_back, most = to_milliseconds(settings.look_back), settings.daily_limit
    simulated = settings.source is Source.SIMULATOR
    models = KnownModels(model, stored, settings.loaded_actions, look_back, most, settings.advice, simulated, grades)
    campaigns = CampaignWatch(models, 1 if settings.source is Source.FILE else ENOUGH)
    reading = reading or codec()
    erasures = Erasures(settings.buckets, known, reading)
    retention = timedelta(days=settings.retention_days)
    sequence = sequencer(models, settings.sequence_length, retention, known=erasures.known_in)
    flow = Dataflow("ad_streams")

    heartbeat = heartbeat or Heartbeat()
    raw = op.input("source", flow, source)  # MessageBatch | ColumnBatch
    decoded = op.flat_map_batch(
        "decode", raw, decoder(reading, settings.max_skew, lambda item: erasures.without_erased(heartbeat.read(item)))
    )
    events = op.flat_map(
        "buckets", decoded, campaigns.before(bucket_splitter(settings.buckets))
    )  # (bucket, EventBatch | requests)
    if open_reader is not None:

        def look_beside() -> None:
            models.follow(writer)
            heartbeat.beat(writer.note_status, writer.flushed_at)

        follower = ErasureSource(writer.erasures, erasures, look_beside)
        asked = op.input("erasures", flow, follower)  # (bucket, requests)
        events = op.merge("requests", events, asked)
    sequenced = op.stateful_map("sequences", events, sequence)  # (bucket, Sequenced)
    scored = op.map_value("score", sequenced, score)  # (bucket, ScoredRows)
    written = op.stateful_batch("write", scored, row_writer(writer))  # nothing

    broken = op.flat_map("broken", decoded, lambda item: keyed_letters(item.letters))  # (source, DeadLetter)
    late = op.flat_map("late", sequenced, late_letters)  # (source, DeadLetter)
    letters = op.merge("letters", broken, late)
    kept = op.stateful_batch("write_letters", letters, letter_writer(writer))  # nothing

    ends = [written, kept]
    if controlled:
        control = op.input("control", flow, ControlSource())  # (key, exit code)
        ends.append(op.stateful_flat_map("obey", control, obey))  # nothing
    letters_to = None
    if topics is not None:
        rows_to = SharedPublisher(partial(BatchPublisher, topics.kafka, topics.propensity))
        letters_to = SharedPublisher(partial(Publisher, topics.kafka, topics.dead_letters))
        ends += [
            op.stateful_batch("publish", scored, row_publisher(rows_to, topics.codec)),  # nothing
            op.stateful_batch("publish_letters", letters, letter_publisher(letters_to)),  # nothing
        ]

    if open_reader is not None:
        forgotten = op.flat_map("forgotten", sequenced, keyed_erasures)  # (one key, Erasure)
        ends.append(
            op.stateful_batch("erase_letters", forgotten, letter_eraser(open_reader, writer, letters_to, reading))
        )

    counts = op.merge(
        "counts",
        op.map("count_decoded", decoded, count_decoded),
        op.map("count_sequenced", sequenced, count_sequenced),
        op.map("count_scored", scored, count_scored),
    )  # Counts
    op.output("progress", op.merge("ends", counts, *ends), ProgressSink())
    return flow


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


def flow_of_environment() -> Dataflow:
    """The flow that the environment's settings describe; what is wrong with them ends the program in one plain line."""
    arguments, read, topics = sys.argv[1:], dict[str, Topic](), None
    directory = recovery_directory(arguments)
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
        reading = Codec(lookup=registry, time_unit=settings.time_unit)
        if settings.source is Source.KAFKA:
            read = kafka.require(settings.kafka_topics)
            topics = topics_of(settings, kafka, registry, max(topic.partitions for topic in read.values()))
        source = source_of(settings, reading, kafka, read)
        open_writer = writer_of(settings, is_first_process(arguments))
        writer = open_writer()
        if directory is not None:
            lock_recovery(directory, arguments)
        lock_store(settings, arguments)
        state = state_in(directory) if directory is not None else None
        if directory is not None and state is not None:  # one that was used says more exactly what differs
            check_recovery(directory, settings, writer.store_id, read)
        filling = provenance_of(settings, settings.files, read, state)
        if is_first_process(arguments):
            check_provenance(writer, settings, filling)
        if directory is not None:
            filling = replace(filling, state=check_recovery(directory, settings, writer.store_id, read))
            if is_first_process(arguments):
                check_snapshots(directory)
            widen_pages(directory, arguments)
        if is_first_process(arguments):
            note_provenance(writer, settings, filling)
        known = writer.erasures()
        stored = models_at_start(writer, settings.loaded_model, is_first_process(arguments))
        grades = writer.grades()
        number, addresses = process_number(arguments), process_addresses(arguments)
        heartbeat = Heartbeat(number, max(len(addresses), 1), settings.source is Source.KAFKA)
        heartbeat.begin(writer, open_writer)
        writer.close()
    except (SettingsError, ServiceError) as error:
        stop(error)
    ending.prepare()
    watch_start(number, addresses, settings.peer_timeout)
    watch_clock()
    if read:
        watch(kafka, read)
    return build_flow(
        source,
        settings.loaded_model,
        open_writer,
        settings,
        reading,
        topics,
        controlled=True,
        open_reader=reader_of(settings),
        known=known,
        stored=stored,
        grades=grades,
        heartbeat=heartbeat,
    )


def __getattr__(name: str) -> Dataflow:
    """`flow`, made when Bytewax asks for it: importing `build_flow` alone reads no settings and opens nothing."""
    if name == "flow":
        return flow_of_environment()
    raise AttributeError(name)
