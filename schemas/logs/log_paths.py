"""Which files a log consists of: one file, several, a folder, or those that a pattern names."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from schemas.errors import LogFileError
from schemas.logs.log_bytes import log_kind


def log_paths(names: Iterable[str | Path]) -> list[Path]:
    """The files of a log, each once, in the order of their names.

    A name that exists is that file, or all logs in that folder (not in folders below it; what begins with a dot or an
    underscore is no log). In any other, `*`, `?` and `**` (any folders below) stand for something, and nothing else
    does; names may stand behind each other with commas between them.

    Raises:
        LogFileError: a name has no file, or one that is no log.
    """
    paths = files_of(names)
    for path in paths:
        log_kind(path)
    return paths


def files_of(names: Iterable[str | Path]) -> list[Path]:
    """The same files, whatever their endings.

    Raises:
        LogFileError: a name has no file.
    """
    found = dict[Path, Path]()
    for name in names:
        for path in _named(str(name)):
            found.setdefault(path.resolve(), path)
    return sorted(found.values(), key=str)


def _named(name: str) -> list[Path]:
    path = Path(name)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            if not path.is_file():
                raise LogFileError(f"{name}: not a file")
            return [path]
        if any(sign in name for sign in "*?"):
            matches = glob.glob(name.replace("[", "[[]"), recursive=True)  # noqa: PTH207 a pattern may be absolute
            files = [each for each in map(Path, matches) if each.is_file()]
            if not files:
                raise LogFileError(f"{name}: no file matches")
            return files
    except OSError as error:
        raise LogFileError(f"{name}: {error.strerror}") from None
    if "," in name:
        return [each for part in name.split(",") for each in _named(part.strip())]
    raise LogFileError(f"{name}: no such file")


def _in_folder(folder: Path) -> list[Path]:
    files = [each for each in folder.iterdir() if each.is_file() and each.name[0] not in "._"]
    if not files:
        raise LogFileError(f"{folder}: no logs in this folder; {folder}/**/*.parquet, for one, reaches those below it")
    return files
