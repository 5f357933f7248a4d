"""The dataflow: events in, propensity over time out.

Run it with `python -m bytewax.run dataflow`; settings are environment variables `ADSTREAMS_*` (see README.md).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source as BytewaxSource

from model.plan import FeaturePlan
from model.propensity import Model, Scorer
from schemas.codec import codec
from schemas.log_files import LogFile, LogFileError
from settings import Settings, SettingsError, Source, load_settings, stop
from steps import ending
from steps.buckets import bucket_splitter
from steps.decode import decoder
from steps.progress import ProgressSink, count_decoded, count_sequenced
from steps.recovery import check_recovery, is_first_process, lock_recovery, recovery_directory
from steps.score import score_with
from steps.sequences import keyed_letters, late_letters, sequencer
from steps.sources.file import FileSource
from steps.sources.simulator import SimulatorSource
from steps.write import SharedWriter, letter_writer, row_writer
from stores.base import StoreError, Writer
from stores.choosing import writer_of


def build_flow(
    source: BytewaxSource[Any], model: Model, open_writer: Callable[[], Writer], settings: Settings
) -> Dataflow:
    """The whole flow, from a source of raw batches to a store."""
    writer = SharedWriter(open_writer)
    plan = FeaturePlan.of(model.features)
    flow = Dataflow("ad_streams")

    raw = op.input("source", flow, source)  # MessageBatch | ColumnBatch
    decoded = op.map("decode", raw, decoder(codec(), settings.max_skew))  # Decoded
    events = op.flat_map("buckets", decoded, bucket_splitter(settings.buckets))  # (bucket, EventBatch)
    sequenced = op.stateful_map("sequences", events, sequencer(plan, settings.sequence_length))  # (bucket, Sequenced)
    scored = op.map_value("score", sequenced, score_with(Scorer(model)))  # (bucket, ScoredRows)
    written = op.stateful_batch("write", scored, row_writer(writer))  # nothing

    broken = op.flat_map("broken", decoded, lambda item: keyed_letters(item.letters))  # (source, DeadLetter)
    late = op.flat_map("late", sequenced, late_letters)  # (source, DeadLetter)
    letters = op.merge("letters", broken, late)
    kept = op.stateful_batch("write_letters", letters, letter_writer(writer))  # nothing

    counts = op.merge(
        "counts",
        op.map("count_decoded", decoded, count_decoded),
        op.map("count_sequenced", sequenced, count_sequenced),
    )  # Counts
    op.output("progress", op.merge("ends", counts, written, kept), ProgressSink())
    return flow


def source_of(settings: Settings) -> BytewaxSource[Any]:
    """The source that the settings name.

    Raises:
        SettingsError: it cannot be read.
    """
    if settings.source is Source.FILE:
        assert settings.file is not None, "checked with the settings"
        try:
            ignored = LogFile(settings.file).ignored
        except LogFileError as error:
            raise SettingsError(f"ADSTREAMS_FILE: {error}") from None
        if ignored:
            logging.getLogger("adstreams").warning(
                "%s: ignored columns: %s", settings.file, ", ".join(map(repr, ignored))
            )
        return FileSource(settings.file)
    return SimulatorSource(
        codec(),
        settings.simulator_users,
        settings.simulator_events,
        settings.simulator_rate,
        settings.simulator_seed,
        settings.simulator_start_time,
    )


def flow_of_environment() -> Dataflow:
    """The flow that the environment's settings describe; what is wrong with them ends the program in one plain line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    try:
        settings = load_settings()
        source = source_of(settings)
        open_writer = writer_of(settings, first=is_first_process(sys.argv[1:]))
        writer = open_writer()
        if directory := recovery_directory(sys.argv[1:]):
            lock_recovery(directory, sys.argv[1:])
            check_recovery(directory, settings, writer.store_id)
        writer.close()
    except (SettingsError, StoreError) as error:
        stop(error)
    ending.prepare()
    return build_flow(source, settings.loaded_model, open_writer, settings)


def __getattr__(name: str) -> Dataflow:
    """`flow`, made when Bytewax asks for it: importing `build_flow` alone reads no settings and opens nothing."""
    if name == "flow":
        return flow_of_environment()
    raise AttributeError(name)
