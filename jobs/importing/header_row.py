"""The form of delimited text: what parts its values, whether they are quoted, and what its columns are called."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jobs.importing.sources import Source
from schemas.errors import JobError
from schemas.logs.csv_rows import has_quotes

DELIMITERS = ("\t", ",", ";", "|")
_VALUE = re.compile(
    r"[-+]?[0-9][0-9.,eE+-]*"  # a number
    r"|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([ T].*)?"  # a date
    r"|[0-9]{1,2}:[0-9]{2}.*"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-.*"  # a uuid
    r"|https?://.*|[{\[].*[}\]]|[^@\s]+@[^@\s]+\.[a-z]+",
    re.DOTALL,
)
"""What is a value and no column's name."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a file of delimited text is written; `skip` is how many lines are no rows."""

    names: tuple[str, ...]
    delimiter: str
    is_quoted: bool
    skip: int


def find_form(source: Source, names: tuple[str, ...] | None) -> Form:
    """The form of one file; `names` are of its columns where it has no header.

    Text between tabs has quotes around values only where each value that begins with one also ends with one;
    otherwise they are characters like others.

    Raises:
        JobError: the first line is an event and no header, or has another number of columns than `names`.
    """
    text = source.head.decode(errors="replace")
    line = text.split("\n", 1)[0].rstrip("\r")
    delimiter = _delimiter(line, len(names) if names else 0)
    is_quoted = delimiter != "\t" or has_quotes(text)
    cells = _first_record(text, delimiter, is_quoted)
    if names is not None:
        if len(names) != len(cells):
            raise JobError(
                f"--columns: names {len(names):,} columns, but the first line of {source.path} has {len(cells):,}"
            )
        return Form(names, delimiter, is_quoted, int([cell.strip() for cell in cells] == list(names)))
    _refuse_values(source.path, cells)
    return Form(tuple(cell.strip() or f"column{n}" for n, cell in enumerate(cells)), delimiter, is_quoted, 1)


def read_names(path: Path) -> tuple[str, ...]:
    """The columns' names of a file for `--columns`: on one line with tabs or commas, or one a line.

    Raises:
        JobError: it cannot be read, or a name occurs twice.
    """
    try:
        text = path.read_text("utf-8-sig").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"--columns: {path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        lines = _first_record(lines[0], _delimiter(lines[0], 0), is_quoted=True)
    names = tuple(line.strip().strip('"') for line in lines)
    twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if not names or not all(names) or twice:
        raise JobError(f"--columns: {path}: {f'{twice[0]!r} occurs twice' if twice else 'a name is missing'}")
    return names


def _delimiter(line: str, columns: int) -> str:
    bare = re.sub(r'"[^"\t]*"', "", line)
    if columns > 1:
        for sign in DELIMITERS:
            if bare.count(sign) == columns - 1:
                return sign
    best = max(DELIMITERS, key=bare.count)
    return best if bare.count(best) else ","


def _first_record(text: str, delimiter: str, is_quoted: bool) -> list[str]:
    csv.field_size_limit(1 << 30)
    try:
        file = io.StringIO(text, newline="")
        if is_quoted:
            rows = csv.reader(file, delimiter=delimiter)
        else:
            rows = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        record = next(rows, [])
    except csv.Error:
        record = text.split("\n", 1)[0].split(delimiter)
    return [cell.strip("\r\n") for cell in record]


def _refuse_values(path: Path, cells: list[str]) -> None:
    names = [cell.strip() for cell in cells]
    value = next((name for name in names if _VALUE.fullmatch(name)), None)
    blank = names.count("") > 1 and "blank"
    counted = Counter(name.lower() for name in names if name)
    twice = next((name for name, count in counted.items() if count > 1), None)
    found = value or twice or blank
    if found:
        how = "stands there twice" if found == twice else "is a value" if found == value else "names are missing"
        shown = found if len(found) < 40 else f"{found[:37]}..."
        raise JobError(
            f"{path}: the first line holds no names of columns ({shown!r} {how}): "
            "name them with --columns FILE (on one line, or one a line)"
        )
