"""The files of a log that is imported, and what each of them holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import JobError
from schemas.logs.log_bytes import check_content, open_bytes
from schemas.logs.log_paths import files_of

HEAD = 1 << 20
"""Bytes of a text file that are looked at."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """A file: `kind` is `.csv` (any delimited text), `.json`, `.parquet` or `.avro`, by its first bytes."""

    path: Path
    kind: str
    head: bytes

    @property
    def is_array(self) -> bool:
        """Whether a JSON file is not one object a line: one array, or objects over several lines."""
        if self.head[:1] == b"[":
            return True
        try:
            json.loads(self.head.split(b"\n", 1)[0])
        except ValueError:
            return b"\n" in self.head and self.head.split(b"\n", 1)[0].strip() == b"{"
        return False


def find_sources(names: Iterable[Path]) -> list[Source]:
    """The files that some names mean (`files_of`), whatever their endings.

    Raises:
        JobError: a file is empty, or the files are of several kinds.
        LogFileError: a name means no file, or a file is of a kind that no log is.
    """
    sources = [_look(path) for path in files_of(names)]
    kinds = {source.kind: source.path for source in reversed(sources)}
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise JobError(f"{second} is {_NAMES[other]} and {first} is {_NAMES[one]}: import them one by one")
    return sources


_NAMES = {".csv": "delimited text", ".json": "JSON", ".parquet": "Parquet", ".avro": "an Avro container"}


def _look(path: Path) -> Source:
    try:
        with open_bytes(path) as file:
            head = b""
            while len(head) < HEAD and (piece := file.read(HEAD - len(head))):
                head += piece
    except (OSError, EOFError) as error:
        raise JobError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    text = head.removeprefix(_BOM).lstrip()
    if head.startswith(b"PAR1"):
        kind = ".parquet"
    elif head.startswith(b"Obj\x01"):
        kind = ".avro"
    else:
        kind = ".json" if text[:1] in (b"{", b"[") else ".csv"
    check_content(path, kind)
    if not text:
        raise JobError(f"{path}: is empty")
    return Source(path, kind, text if kind in (".json", ".csv") else b"")
