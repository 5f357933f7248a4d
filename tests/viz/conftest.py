import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from stores.sqlite.reader import SqliteReader
from tests.viz.browsing import FLAGS, chromium
from tests.viz.streams import DECAY, Stream, load
from viz.feed import Feed
from viz.shared import Shared
from viz.store_reading import Desk
from viz.trace import Tracer


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    stream = Stream(tmp_path / "store.db", load(DECAY))
    yield stream
    stream.close()


@pytest.fixture
def source(stream: Stream) -> Iterator[Shared]:
    """A feed that polls when it is told to, and a desk."""

    def open_reader() -> SqliteReader:
        return SqliteReader(stream.path)

    shared = Shared(Feed(open_reader, Tracer(stream.model, 1_000)), Desk(open_reader))
    yield shared
    shared.desk.close()
    shared.feed.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        message = "NO CHROMIUM: the page is not tested in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
