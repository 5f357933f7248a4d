"""The bytes of a log file: decompressed, and their format detected from the first ones."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa

from schemas.dead_letters import DeadLetter
from schemas.errors import LogFileError

READ = (".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".avro")
"""Endings of logs that can be read; those of text may have one of `COMPRESSED` behind it."""
WRITTEN = (".csv", ".parquet", ".avro")
TEXT = READ[:4]
COMPRESSED = (".gz", ".bz2", ".zst")
BROKEN = (OSError, EOFError, zlib.error, pa.ArrowException)
"""What a compressed file raises where it breaks off."""
_HEAD = 1 << 12
_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"ORC": "ORC",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_NAMES = {".json": "JSON", ".parquet": "Parquet", ".avro": "an Avro container"}


IN_MS = {b"ad-streams:unit": b"ms"}
"""Metadata of the time column of Parquet files written here; it overrides options and settings."""


class Rows(NamedTuple):
    """Rows of a log.

    Their numbers, their columns under the names of the event's fields, letters for rows that have no columns, and the
    number of the last row that was read.
    """

    offsets: Any
    columns: pa.RecordBatch
    letters: list[DeadLetter]
    last: int


def log_kind(path: Path, known: tuple[str, ...] = READ) -> str:
    """`.csv`, `.json`, `.parquet` or `.avro`, by the file's name.

    Raises:
        LogFileError: the name has none of the `known` endings.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in COMPRESSED and suffixes[-2:-1] and suffixes[-2] in TEXT:
        suffixes.pop()
    if suffixes[-1:] and suffixes[-1] in known:
        return ".json" if suffixes[-1] in READ[1:4] else suffixes[-1]
    endings = f"{', '.join(known[:-1])} or {known[-1]}"
    raise LogFileError(f"{path}: a log's name ends with {endings}; text may be compressed, as in .csv.gz")


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed by gzip, bzip2 or zstd where that is what they are."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if magic[:3] == b"BZh":
        return bz2.open(path, "rb")
    if magic == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Zstd(path))
    return path.open("rb")


class _Zstd(io.RawIOBase):
    def __init__(self, path: Path) -> None:
        self._stream = pa.input_stream(str(path), compression="zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


def check_content(path: Path, kind: str) -> None:
    """Check that a file's content matches its name, so that no file is misread.

    Raises:
        LogFileError: it holds something else.
    """
    with open_bytes(path) as file:
        head = file.read(_HEAD)
    foreign = next((name for magic, name in _FOREIGN.items() if head.startswith(magic)), None)
    if foreign == "ORC" and b"\0" not in head:  # a column's name, as ORCID
        foreign = None
    if foreign is not None:
        how = "save it as UTF-8" if "UTF" in foreign else "export it as CSV or Parquet"
        raise LogFileError(f"{path}: is {foreign} by its content; {how}")
    text = head.removeprefix(_BOM).lstrip()
    if head.startswith(b"PAR1"):
        found = ".parquet"
    elif head.startswith(b"Obj\x01"):
        found = ".avro"
    else:
        found = ".json" if text[:1] in (b"{", b"[") else ".csv"
    if kind == ".json" and not text:
        raise LogFileError(f"{path}: is empty")
    if found != kind and (head or kind in (".parquet", ".avro")):
        if found == ".csv":
            raise LogFileError(f"{path}: is not {_NAMES[kind]} by its content")
        raise LogFileError(
            f"{path}: is {_NAMES[found]} by its content; name it {'.jsonl' if found == '.json' else found}"
        )
