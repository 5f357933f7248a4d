"""What all sessions of a process share: the settings, one feed, and one desk for questions."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import panel as pn
from tornado.websocket import WebSocketClosedError

from model.durations import to_milliseconds
from schemas.errors import SettingsError, StoreError
from settings import Source, load_settings, stop
from stores.store_registry import reader_of
from viz.feed import Feed
from viz.store_reading import Desk
from viz.trace import Tracer


@dataclass(frozen=True, slots=True)
class Shared:
    """A feed that polls, and a desk that answers."""

    feed: Feed
    desk: Desk


def shared() -> Shared:
    """The feed and the desk of this process. Wrong settings end the program in one plain line."""
    found: Shared = pn.state.as_cached("adstreams", _open)
    return found


def _open() -> Shared:
    try:
        settings = load_settings()
        actions, open_reader = settings.loaded_actions, reader_of(settings)
        examples = settings.example_actions
        challenger = settings.loaded_challenger
        open_reader().close()
    except (SettingsError, StoreError) as error:
        stop(error)
    window = to_milliseconds(settings.look_back)
    tracer = Tracer(settings.loaded_model, settings.sequence_length, actions, window, settings.daily_limit)
    feed = Feed(
        open_reader,
        tracer,
        challenger=challenger.id if challenger else None,
        max_skew=settings.max_skew,
        policy=settings.advice,
        examples=examples,
        simulated=settings.source is Source.SIMULATOR,
    )
    feed.poll()  # the first page is not empty, and what has to be compiled is compiled
    feed.start()
    for name in ("asyncio", "panel.io.document", "bokeh.server.views.ws"):
        logging.getLogger(name).addFilter(is_news)
    return Shared(feed, Desk(open_reader))


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message of the server is more than that a browser has gone, which is no error."""
    if record.getMessage() == "Failed sending message as connection was closed":
        return False
    return not (record.exc_info and isinstance(record.exc_info[1], WebSocketClosedError))
