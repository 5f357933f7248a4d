"""Rows that are rejected: counted by reason, and written down as they come."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

from jobs.console import say
from schemas.dead_letters import REASONS, DeadLetter
from schemas.errors import JobError
from schemas.valid_json import valid_json


class Letters:
    """Takes rejected rows, of which it holds the first of each reason; the file has its name once it is whole."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._draft = None if path is None else path.with_name(f".{os.getpid()}-{path.name}")
        self._file: IO[str] | None = None
        self._counts = Counter[str]()
        self._first: dict[str, DeadLetter] = {}

    @property
    def count(self) -> int:
        """How many there were."""
        return self._counts.total()

    def __enter__(self) -> Letters:
        if self._draft is not None:
            try:
                self._file = self._draft.open("w", encoding="utf-8")
                self._draft.chmod(0o600)
            except OSError as error:
                raise JobError(f"--rejected: {self._path}: {error.strerror}") from None
        return self

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Count letters, and write them to the file.

        Raises:
            JobError: they cannot be written.
        """
        for letter in letters:
            self._counts[letter.reason] += 1
            self._first.setdefault(letter.reason, letter)
            if self._file is not None:
                try:
                    self._file.write(_json_line(letter))
                except OSError as error:
                    raise JobError(f"--rejected: {self._path}: {error.strerror}") from None

    def report(self) -> None:
        """Print how many there were of each reason, with the first of each."""
        for reason, count in self._counts.most_common():
            first = self._first[reason]
            text = first.payload.decode(errors="backslashreplace")
            shown = text if len(text) <= 500 else f"{text[:500]}..."
            say(f"  {count:,} {reason} ({REASONS[reason]}); the first: {first.detail}: {shown}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._draft is None or self._path is None:
            return
        self._file.close()
        if kind is None:
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)


def _json_line(letter: DeadLetter) -> str:
    line = {"reason": letter.reason, "detail": letter.detail, "values": json.loads(letter.payload)}
    return valid_json(line) + "\n"
