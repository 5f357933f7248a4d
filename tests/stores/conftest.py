"""The stores that every test of this folder is run against."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stores.base import Reader, Writer
from stores.sqlite import SqliteReader, SqliteWriter


class Embedded:
    """A SQLite file, opened as often as a test asks for."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self._stack = path, stack

    def writer(self) -> Writer:
        writer = SqliteWriter(self.path)
        self._stack.callback(writer.close)
        return writer

    def reader(self) -> Reader:
        reader = SqliteReader(self.path)
        self._stack.callback(reader.close)
        return reader


STORES = {"sqlite": lambda folder, stack: Embedded(folder / "rows.db", stack)}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Embedded]:
    """An empty store with `writer()` and `reader()`; what they give is closed behind the test."""
    with ExitStack() as stack:
        yield STORES[request.param](tmp_path, stack)
