"""What all sessions of a process share."""

import asyncio
import gc
import logging

import pytest
from bokeh.document import Document
from panel.io import document
from tornado.websocket import WebSocketClosedError

from viz.shared import is_news


async def lost_task(error: Exception) -> None:
    """A task that fails, and nobody looks at it."""

    async def fail() -> None:
        raise error

    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task


@pytest.mark.parametrize(("error", "told"), [(WebSocketClosedError(), []), (OSError("full"), ["full"])])
def test_a_browser_that_is_gone_is_no_error(
    error: Exception, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A message on its way to it fails where nobody waits for it; the loop tells of other failures as before."""
    logger = logging.getLogger("asyncio")
    logger.addFilter(is_news)
    try:
        asyncio.run(lost_task(error))
        gc.collect()
    finally:
        logger.removeFilter(is_news)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == told


def test_what_panel_says_of_a_browser_that_is_gone_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """As Panel says it of a socket that is closed; what it says of other failures is."""

    async def fail(error: Exception) -> None:
        raise error

    async def write() -> None:
        doc = Document()
        document._WRITE_FUTURES[doc] = [fail(WebSocketClosedError()), fail(OSError("full"))]
        await document._run_write_futures(doc)

    logger = logging.getLogger("panel.io.document")
    logger.addFilter(is_news)
    try:
        with caplog.at_level(logging.WARNING, "panel.io.document"):
            asyncio.run(write())
    finally:
        logger.removeFilter(is_news)
    assert caplog.messages == ["Failed sending message due to following error: full"]
