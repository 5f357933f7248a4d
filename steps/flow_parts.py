"""What a flow is made of: the steps that settings, models and what is outside decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from bytewax.operators import StatefulBatchLogic

from model.durations import to_milliseconds
from model.scoring.propensity import Model
from schemas.avro.codec import Codec, Decoded, codec
from schemas.erasures import Erasure
from schemas.grades import Grade
from schemas.stored_models import StoredModel
from settings import Settings, Source
from steps.buckets import bucket_splitter
from steps.campaign_watch import ENOUGH, CampaignWatch
from steps.decode import decoder
from steps.forgetting import Erasures, letter_eraser
from steps.known_models import KnownModels
from steps.process.heartbeat import Heartbeat
from steps.publish import SharedPublisher, letter_publisher, row_publisher
from steps.sequencing import sequencer
from steps.table_follower import TableFollower
from steps.write import SharedWriter, letter_writer, row_writer
from stores.base import Reader, Writer
from topics.outlets import Topics
from topics.publisher import BatchPublisher, Publisher

Builder = Callable[[Any], StatefulBatchLogic[Any, Any, Any]]
"""Makes the logic of a `stateful_batch` step, from its saved state or from None."""


@dataclass(frozen=True)
class Outlets:
    """The steps that publish scored rows and dead letters to topics."""

    publish_rows: Builder
    publish_letters: Builder


@dataclass(frozen=True)
class Parts:
    """The steps of one flow.

    Attributes:
        decode: raw batches -> `Decoded`, for `flat_map_batch`.
        split: a `Decoded` -> (bucket, `EventBatch`) for each bucket.
        sequence: the mapper of `stateful_map` that keeps a bucket.
        write_rows, write_letters: write to the store.
        outlets: publish to topics; None where there are none.
        follower: the source that follows the store's tables; None for a flow that does not.
        erase_letters: deletes the dead letters of erased users; there where `follower` is.
        controlled: whether the flow ends in all its processes when one of them is to; its source then
            reports its end to `steps.process.ending`. Any other flow ends with its source.
    """

    decode: Callable[[list[Any]], list[Decoded]]
    split: Callable[[Decoded], list[tuple[str, Any]]]
    sequence: Callable[[Any, Any], tuple[Any, Any]]
    write_rows: Builder
    write_letters: Builder
    outlets: Outlets | None = None
    follower: TableFollower | None = None
    erase_letters: Builder | None = None
    controlled: bool = False


def parts_of(
    model: Model,
    open_writer: Callable[[], Writer],
    settings: Settings,
    reading: Codec | None = None,
    topics: Topics | None = None,
    controlled: bool = False,
    open_reader: Callable[[], Reader] | None = None,
    erasures: Sequence[Erasure] = (),
    models: Sequence[StoredModel] = (),
    grades: Sequence[Grade] = (),
    heartbeat: Heartbeat | None = None,
) -> Parts:
    """The parts of a flow that scores by `model` and writes to a store.

    Args:
        model: scores rows from the beginning.
        open_writer: opens the store, once a process.
        settings: buckets, sequence length and the like.
        reading: decodes messages; by default those of this program's own schemas.
        topics: where to publish; None publishes nothing.
        controlled: see `Parts`.
        open_reader: opens the store for reading; with it the flow follows the store's tables while it runs.
        erasures: the erasures that the store holds at the start.
        models: the models that the store holds at the start; later ones follow `model`, each from its time on.
        grades: the grades that the store holds at the start; a model that they speak against recommends nothing.
        heartbeat: reports this process to the store, as often as its tables are followed.
    """
    writer, reading, beats = SharedWriter(open_writer), reading or codec(), heartbeat or Heartbeat()
    known = KnownModels(
        model,
        models,
        settings.loaded_actions,
        to_milliseconds(settings.look_back),
        settings.daily_limit,
        settings.advice,
        settings.source is Source.SIMULATOR,
        grades,
    )
    erased = Erasures(settings.buckets, erasures, reading)
    campaigns = CampaignWatch(known, 1 if settings.source is Source.FILE else ENOUGH)
    retention = timedelta(days=settings.retention_days)
    parts = Parts(
        decode=decoder(reading, settings.max_skew, lambda item: erased.without_erased(beats.read(item))),
        split=campaigns.before(bucket_splitter(settings.buckets)),
        sequence=sequencer(known, settings.sequence_length, retention, known=erased.known_in),
        write_rows=row_writer(writer),
        write_letters=letter_writer(writer),
        controlled=controlled,
    )
    letters_to = None
    if topics is not None:
        rows_to = SharedPublisher(partial(BatchPublisher, topics.kafka, topics.propensity))
        letters_to = SharedPublisher(partial(Publisher, topics.kafka, topics.dead_letters))
        outlets = Outlets(row_publisher(rows_to, topics.codec), letter_publisher(letters_to))
        parts = replace(parts, outlets=outlets)
    if open_reader is not None:
        follower = TableFollower(writer, erased, known, beats)
        eraser = letter_eraser(open_reader, writer, letters_to, reading)
        parts = replace(parts, follower=follower, erase_letters=eraser)
    return parts
