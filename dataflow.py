"""The dataflow: events in, propensity over time out.

Run it with `python -m bytewax.run dataflow`; settings are environment variables `ADSTREAMS_*` (see `docs/settings.md`).
"""

from __future__ import annotations

import sys
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source

from steps.flow_parts import Parts
from steps.forgetting import keyed_erasures
from steps.process.control import ControlSource, obey
from steps.progress import ProgressSink, count_decoded, count_scored, count_sequenced
from steps.score import score
from steps.sequencing import keyed_letters, late_letters


def build_flow(source: Source[Any], parts: Parts) -> Dataflow:
    """The whole flow, from a source of raw batches to a store, and to topics where the parts have them.

    Step ids are the keys of saved state: renaming one loses what recovery directories hold.
    """
    flow = Dataflow("ad_streams")

    # Score: every bucket keeps the sequences of its users; each new or changed row gets features, then a propensity.
    raw = op.input("source", flow, source)  # MessageBatch | ColumnBatch
    decoded = op.flat_map_batch("decode", raw, parts.decode)  # Decoded: events and dead letters
    by_bucket = op.flat_map("buckets", decoded, parts.split)  # (bucket, EventBatch)
    if parts.follower is not None:
        erasures = op.input("erasures", flow, parts.follower)  # (bucket, [Erasure])
        by_bucket = op.merge("requests", by_bucket, erasures)
    sequenced = op.stateful_map("sequences", by_bucket, parts.sequence)  # (bucket, Sequenced)
    scored = op.map_value("score", sequenced, score)  # (bucket, ScoredRows)

    # Store and publish: scored rows and dead letters, acknowledged before their epoch is committed.
    broken = op.flat_map("broken", decoded, lambda item: keyed_letters(item.letters))  # (partition, DeadLetter)
    late = op.flat_map("late", sequenced, late_letters)  # (partition, DeadLetter)
    letters = op.merge("letters", broken, late)
    ends = [
        op.stateful_batch("write", scored, parts.write_rows),
        op.stateful_batch("write_letters", letters, parts.write_letters),
    ]
    if parts.outlets is not None:
        ends.append(op.stateful_batch("publish", scored, parts.outlets.publish_rows))
        ends.append(op.stateful_batch("publish_letters", letters, parts.outlets.publish_letters))

    # Forget: the dead letters of users whom a bucket has just erased.
    if parts.erase_letters is not None:
        forgotten = op.flat_map("forgotten", sequenced, keyed_erasures)  # (one key, Erasure)
        ends.append(op.stateful_batch("erase_letters", forgotten, parts.erase_letters))

    if parts.controlled:
        control = op.input("control", flow, ControlSource())  # (key, exit code)
        ends.append(op.stateful_flat_map("obey", control, obey))
    counts = op.merge(
        "counts",
        op.map("count_decoded", decoded, count_decoded),
        op.map("count_sequenced", sequenced, count_sequenced),
        op.map("count_scored", scored, count_scored),
    )  # Counts
    op.output("progress", op.merge("ends", counts, *ends), ProgressSink())
    return flow


def flow_of_environment() -> Dataflow:
    """The flow that the environment's settings describe; a wrong setting ends the program with one line."""
    from startup import start

    return build_flow(*start(sys.argv[1:]))


def __getattr__(name: str) -> Dataflow:
    """`flow`, made when Bytewax asks for it: importing `build_flow` alone reads no settings and opens nothing."""
    if name == "flow":
        return flow_of_environment()
    raise AttributeError(name)
