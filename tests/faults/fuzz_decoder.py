"""Messages that coverage leads to every branch of the decoder: `python -m tests.faults.fuzz_decoder SECONDS [CORPUS]`.

Each input becomes an event or a dead letter just as fastavro and the rules say, or the program says which did not and
ends with 1. Coverage is that of the decoder as plain Python, in a process of its own (`tests.faults.fuzzed_decoder`);
every input is decoded by the compiled code too. With a folder CORPUS what was found is kept, and the next run goes on
from it. Needs atheris, which is among the development dependencies on Linux.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from schemas.avro.codec import Codec, load_schema
from schemas.events import Event
from tests.schemas.oracle import Shelf, assert_as_judged, message_of, registered_message_of

LONGEST = 512
"""Bytes of an input."""
BATCH = 500
ROOT = Path(__file__).parent.parent.parent
VERSIONS = load_schema("event"), load_schema("event_v1")


def _widened() -> dict[str, Any]:
    """The event's schema with fields that nobody here knows, in another order."""
    schema = load_schema("event")
    more = [
        {"name": "device", "type": {"type": "enum", "name": "Device", "symbols": ["phone", "desk"]}},
        {"name": "width", "type": "double"},
        {"name": "agent", "type": "string"},
        {"name": "clock", "type": "long"},
    ]
    return schema | {"fields": more[:2] + schema["fields"][::-1] + more[2:]}


def _nested() -> dict[str, Any]:
    """The event's schema with fields that only fastavro reads: unions, a list, a map and a record."""
    schema = load_schema("event")
    place = {"type": "record", "name": "Place", "fields": [{"name": "city", "type": ["null", "string"]}]}
    more = [
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "scores", "type": {"type": "map", "values": "long"}},
        {"name": "places", "type": {"type": "array", "items": place}},
    ]
    fields = [field | {"type": ["null", "int"]} if field["name"] == "quantity" else field for field in schema["fields"]]
    return schema | {"fields": more + fields}


def _nullable() -> dict[str, Any]:
    """The event's schema with nulls in every field, and times that only their size tells."""
    fields = []
    for field in load_schema("event")["fields"]:
        kind = "long" if field["name"] == "timestamp" else field["type"]
        fields.append({"name": field["name"], "type": ["null", kind] if len(fields) % 2 else [kind, "null", "boolean"]})
    return load_schema("event") | {"fields": fields}


def _old_names() -> dict[str, Any]:
    """The event's schema with a field beside its old name, and microseconds."""
    fields = [{"name": "site", "type": "string"}]
    for field in load_schema("event")["fields"]:
        micros = {"type": "long", "logicalType": "timestamp-micros"}
        fields.append({"name": field["name"], "type": micros if field["name"] == "timestamp" else field["type"]})
    return load_schema("event") | {"fields": fields}


SHELF = Shelf(
    {1: VERSIONS[0], 2: VERSIONS[1], 3: _widened(), 4: _nested(), 5: "withdrawn", 7: _nullable(), 8: _old_names()}
    | {UUID(int=9): _nullable()}
)
_MORE = {
    "device": "desk", "width": 1.5, "agent": "agent", "clock": -1, "site": "site",
    "tags": ["a", ""], "scores": {"x": 2**40}, "places": [{"city": None}, {"city": "Köln"}],
}  # fmt: skip


def decoder() -> Codec:
    """A codec that knows all versions, and a registry."""
    return Codec(lookup=SHELF)


def check(codec: Codec, payloads: list[bytes]) -> None:
    """Fail unless a batch is decoded as fastavro and the rules say."""
    assert_as_judged(codec, payloads, VERSIONS, SHELF)


def seeds() -> list[bytes]:
    """Valid messages of every schema, framed in either way, and some that are not valid."""
    events = [
        Event("e1", "user-1", 1_500_000_000_000, "IM"),
        Event("é", "🙂" * 9, 0, "CN", campaign="Frühling", product="\0", quantity=-(2**31), revenue=-0.0),
        Event("i" * 64, "u", 4_102_444_800_000, "PS", placement="", quantity=2**31 - 1, revenue=1e300),
        Event("e", "edges", 1, "CL", campaign="\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"),
        Event("", "u", 4_102_444_800_001, "CL", revenue=float("nan")),
    ]
    data = [asdict(event) | _MORE for event in events]
    messages = [message_of(schema, datum) for schema in VERSIONS for datum in data]
    for number, schema in SHELF.schemas.items():
        if isinstance(schema, dict) and isinstance(number, int):
            messages += [registered_message_of(schema, number, datum) for datum in data]
    return [*messages, b"\0\0\0\0\x05", b"\0\0\0\0\x06", b"\xc3\x01" + bytes(8), b""]


def read_inputs(pipe: IO[bytes]) -> Iterator[list[bytes]]:
    """What the other process says that it tried, in batches."""
    batch = list[bytes]()
    while True:
        try:
            batch.append(pickle.load(pipe))
        except EOFError:
            yield batch
            return
        if len(batch) == BATCH:
            yield batch
            batch = []


def fuzz(seconds: int, corpus: Path) -> str:
    """Try messages for so long; what was found to be wrong, nothing where all was right."""
    corpus.mkdir(exist_ok=True)
    for number, message in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(message)
    ours, theirs = os.pipe()
    flags = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-exact_artifact_path=/dev/null"]
    command = [sys.executable, "-m", "tests.faults.fuzzed_decoder", str(theirs), *flags, str(corpus)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    codec, tried = decoder(), 0
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile())
        program = stack.enter_context(
            subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[theirs], stdout=said, stderr=said)
        )
        stack.callback(program.kill)
        os.close(theirs)
        for payloads in read_inputs(stack.enter_context(os.fdopen(ours, "rb"))):
            try:
                check(codec, payloads)
            except AssertionError as error:
                return f"compiled, {error}\none of {[payload.hex() for payload in payloads]}"
            tried += len(payloads)
        if program.wait():
            said.seek(0)
            return said.read().decode(errors="replace")[-4_000:]
        print(f"{tried:,} messages, {sum(1 for _ in corpus.iterdir()):,} of them kept for what they reach")
    return ""


def main() -> None:
    """Fuzz, and say what was found."""
    if not sys.argv[1:]:
        sys.exit(__doc__)
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is missing: pip install atheris==3.0.0")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(sys.argv[2]) if sys.argv[2:] else Path(folder) / "corpus"
        sys.exit(fuzz(int(sys.argv[1]), corpus) or 0)


if __name__ == "__main__":
    main()
