"""The files of a log that is imported, and what each of them holds."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jobs.problems import JobError
from schemas.log_bytes import check_content, open_bytes

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
    """The files that some names mean: a file's own name, a folder's files, or a pattern with `*` and `?`.

    A name that exists is never a pattern; nor are brackets.

    Raises:
        JobError: a name means no file, or the files are of several kinds.
        LogFileError: a file is of a kind that no log is.
    """
    paths: dict[Path, Path] = {}
    for name in names:
        for path in _meant(name):
            paths.setdefault(path.resolve(), path)
    sources = [_look(path) for path in paths.values()]
    kinds = {source.kind: source.path for source in reversed(sources)}
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise JobError(f"{second} is {_NAMES[other]} and {first} is {_NAMES[one]}: import them one by one")
    return sources


_NAMES = {".csv": "delimited text", ".json": "JSON", ".parquet": "Parquet", ".avro": "an Avro container"}


def _meant(name: Path) -> list[Path]:
    try:
        if name.is_dir():
            found = sorted(path for path in name.iterdir() if path.is_file() and not path.name.startswith("."))
            if not found:
                raise JobError(f"{name}: no file in this folder")
            return found
        if name.is_file():
            return [name]
        if name.exists():
            raise JobError(f"{name}: not a file")
    except OSError as error:
        raise JobError(f"{name}: {error.strerror}") from None
    pattern = str(name).replace("[", "[[]")
    matching = sorted(Path(path) for path in glob.glob(pattern) if Path(path).is_file()) if _is_pattern(name) else []
    if not matching:
        raise JobError(f"{name}: no such file")
    return matching


def _is_pattern(name: Path) -> bool:
    return any(sign in str(name) for sign in "*?")


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
