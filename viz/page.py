"""The page of one session: which users are shown, and what happens at every tick and click."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn

from schemas.event_types import TYPES
from schemas.validation import LONGEST_ID
from stores.base import Reader
from viz import look
from viz.chart import WINDOWS, Chart, Shown
from viz.doors import too_long
from viz.facts import chips, figures, legend, notice, ranking
from viz.feed import Snapshot
from viz.insights import Insights
from viz.links import read_explained, read_query, storable, write_query
from viz.parts import WEB, Part
from viz.shared import Shared, shared
from viz.words import visible

TICK = 500
"""Milliseconds between two looks at the feed."""
MOST = len(look.USER_COLOURS)
FIRST_SHOWN = 3
"""Users shown on a page that was opened without a choice."""
FOUND = 8


class Page(pn.viewable.Viewer):
    """The whole page. Users keep their colour while they are shown.

    `query` is the page's address from the question mark on; the browser's address follows the choice.
    """

    def __init__(self, source: Shared, query: str = "") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._feed, self._desk = source.feed, source.desk
        self._slots: dict[str, int] = {}
        self._list, self._found, self._message = "likely", list[str](), ""
        self._typed, self._questions, self._clear = "", 0, (0, "")
        self._hidden: frozenset[str] = frozenset()
        self._drawn: object = None
        self._held, self._now = source.feed.snapshot, source.feed.now
        self.chart = Chart(source.feed.tracer)
        self.chart.on_zoom(self._hold)
        self.chart.on_pointer(self._look)
        self.figures, self.notice = Part("figures"), Part("notice")
        self.chosen, self.controls = Part("chosen", self.receive), Part("controls", self.receive)
        self.picker = Part("picker", self.receive)
        self.insights = Insights(source.feed, self._draw)
        self.chart.on_tap(self._explain)
        self.keys = Part("keys", self.receive)
        self._cursor: tuple[str, int] | None = None
        users, window = read_query(query)
        about, at = read_explained(query)
        if about in map(storable, users or []):
            self.insights.start(about, at)
        self._undecided = users is None
        self.window = window if window in WINDOWS else "auto"
        self.paused = self._looking = False
        for user in [user for user in users or [] if not too_long(user)][:MOST]:
            self._take_slot(storable(user))
        self._feed.follow(self, self.users)
        self.tick()

    def __panel__(self) -> pn.viewable.Viewable:
        around = (self.figures, self.chosen, self.controls, self.notice, self.chart, self.keys, self.picker)
        return pn.Column(*around, *self.insights.parts.values())

    def template(self) -> pn.Template:
        """The page as a document of its own, with nothing in it from another host."""
        names = ("figures", "chosen", "controls", "notice", "chart", "keys", "picker")
        parts = {name: getattr(self, name) for name in names} | self.insights.parts
        template = pn.Template((WEB / "page.html").read_text(), items=parts)
        template.add_variable("page_css", (WEB / "page.css").read_text())
        return template

    @property
    def users(self) -> tuple[str, ...]:
        """The chosen users, in the order in which they were chosen."""
        return tuple(self._slots)

    def start(self) -> None:
        """Tick from now on, until the session ends."""
        pn.state.add_periodic_callback(self.tick, TICK)

    def leave(self) -> None:
        """Have the feed forget this page."""
        self._feed.leave(self)

    def receive(self, message: dict[str, Any]) -> None:
        """Take a click or what was typed: a dict with the name of what is asked for."""
        for asked, value in message.items():
            match asked, value:
                case _, str() if too_long(value):
                    self._refuse()
                case "add", str():
                    self.add(storable(value))
                case "remove", str():
                    self.remove(storable(value))
                case "search", str():
                    pn.state.execute(partial(self.search, storable(value)))
                case "enter", str():
                    pn.state.execute(partial(self.enter, storable(value)))
                case "window", str() if value in WINDOWS:
                    self.window = value
                    self._draw()
                case "pause", bool():
                    self.paused = value
                    self._draw()
                case "toggle", str() if value in TYPES:
                    self._hidden ^= {value}
                    self._draw()
                case "key", str():
                    self._press(value)
                case "list", "likely" | "recent":
                    self._list = value
                    self._draw()

    def _refuse(self) -> None:
        self._found, self._message = [], f"No user id is longer than {LONGEST_ID:,} bytes."
        self._draw()

    def _press(self, key: str) -> None:
        """Do with a key what the mouse does in the chart: go to events, explain one, and come back to now."""
        at = self._cursor
        match key:
            case "ArrowLeft" | "ArrowRight" | "Home" | "End" | "ArrowUp" | "ArrowDown":
                self._cursor = self.chart.neighbour(at, key)
            case "Enter" if at is not None:
                self._explain(*at)
                return
            case "Escape":
                self._cursor = None
                self.insights.receive({"now": True})
                return
            case "Blur":
                self._cursor = None
        self._draw()

    def add(self, user: str, typed: str | None = None, asked: int | None = None) -> None:
        """Show a user, unless as many are shown as can be told apart.

        What is offered goes, but for that of a later question than the one with the number `asked`.

        The search box is emptied where it still holds what was `typed`, or, by default, what it held at last.
        """
        if len(self._slots) >= MOST and user not in self._slots:
            self._message = f"{MOST} users are shown already. Remove one to add another."
        else:
            self._take_slot(user)
            if asked in (None, self._questions):
                self._message, self._found = "", []
            self._clear = self._clear[0] + 1, self._typed if typed is None else typed
        self._choose()

    def remove(self, user: str) -> None:
        """Show a user no longer."""
        self._slots.pop(user, None)
        self._message = ""
        self._choose()

    async def search(self, prefix: str) -> None:
        """Offer users whose id starts with `prefix`."""
        number = self._number(prefix)
        found = await self._ask(lambda reader: _starting(reader, prefix)) if prefix else []
        self._offer(number, found, "" if found or not prefix else f"No user id starts with “{visible(prefix)}”.")

    async def enter(self, text: str) -> None:
        """Show the user with this id, or the only one whose id starts so; say so where there is none."""

        def look_up(reader: Reader) -> list[str]:
            exact = (form for form in (text, text.strip()) if reader.latest([form]))
            return [found] if (found := next(exact, None)) is not None else _starting(reader, text)

        number = self._number(text)
        found = await self._ask(look_up)
        if found and len(found) == 1:
            _change(partial(self.add, found[0], text, number))
        else:
            self._offer(number, found, "" if found else f"There is no user “{visible(text)}” in the store.")

    async def _ask(self, question: Callable[[Reader], list[str]]) -> list[str] | None:
        try:
            return await self._desk.ask(question)
        except Exception:  # whatever a store's driver raises; the feed tells what it is
            return None

    def _number(self, typed: str) -> int:
        """The number of a question for what was typed."""
        self._typed, self._questions = typed, self._questions + 1
        return self._questions

    def _offer(self, number: int, found: list[str] | None, message: str) -> None:
        """Offer the answer to a question, unless another one was asked since."""
        if number != self._questions:
            return
        self._found = found or []
        self._message = "The store cannot be read just now." if found is None else message
        _change(self._draw)

    def tick(self) -> None:
        """Show what is new since the last tick; a paused page stays as it is."""
        snapshot = self._feed.snapshot
        if self._undecided and snapshot.likely:
            for standing in snapshot.likely[:FIRST_SHOWN]:
                self._take_slot(standing.user_id)
            self._choose()
        self._draw()

    def _draw(self) -> None:
        snapshot = self._feed.snapshot
        if not (self.paused or self._is_held):
            self._held, self._now = snapshot, self._feed.now
        self._show_sides(self._held, self._now or 0)
        known = tuple(user in snapshot.traces for user in self._slots)
        looks = (self.window, self._hidden, self.chart.width, self.insights.asked, self._cursor)
        drawn = (self._held, self._now, self.users, known, looks)
        if drawn != self._drawn:
            self._drawn = drawn
            self._show_curves(snapshot, self._now)

    def _show_sides(self, snapshot: Snapshot, now: int) -> None:
        tracer = self._feed.tracer
        self.controls.put(
            windows=[{"key": key, "title": title} for key, (title, _) in WINDOWS.items()],
            window=self.window,
            paused=self.paused,
            held=self._is_held,
            moving=self._feed.is_moving,
            legend=legend(self._hidden),
        )
        self.picker.put(
            list=self._list,
            users=ranking(snapshot, self._list, self._slots, tracer, now),
            found=[{"user": user, "name": visible(user)} for user in self._found],
            message=self._message,
            clear=dict(zip(("count", "text"), self._clear, strict=True)),
        )

    def _show_curves(self, snapshot: Snapshot, now: int | None) -> None:
        tracer = self._feed.tracer
        self.figures.put(**figures(snapshot, tracer.model_at(now), now, self._feed.speed))
        self.notice.put(**notice(snapshot, self._slots))
        traces = {} if now is None else {user: trace.until(now) for user, trace in snapshot.traces.items()}
        about, _, at = self.insights.asked
        explained = (about, at) if about in self._slots else ("", None)
        query = "" if self._undecided else write_query(self.users, self.window, *explained)
        self.chosen.put(users=chips(traces, self._slots, tracer, now, snapshot.followed), query=query)
        if now is not None:
            shown = [Shown(user, slot, traces[user]) for user, slot in self._slots.items() if user in traces]
            doubted = frozenset(self._feed.doubted(snapshot.grades))
            self.chart.draw(shown, self.window, now, self._hidden, self.insights.moment, doubted, self._cursor)
            self.keys.put(told=self.chart.told)
        self.insights.show(snapshot, traces, self._slots, now)

    def _hold(self) -> None:
        """Pause and leave the chart as it is: somebody looks closer at a part of it."""
        self.paused = True
        self._show_sides(self._held, self._now or 0)

    @property
    def _is_held(self) -> bool:
        """Whether the chart is held, for as long as somebody is at something in it."""
        return self._looking or self._cursor is not None

    def _look(self, looking: bool) -> None:
        """Hold the chart while the pointer is over it: what is read there must not move away."""
        self._looking = looking
        self._draw()

    def _explain(self, user: str, time: int) -> None:
        """Explain the moment that was tapped; to the right of now that is now."""
        self.insights.explain(user, time if time < (self._now or 0) else None)

    def _take_slot(self, user: str) -> None:
        if user not in self._slots:
            self._slots[user] = next(slot for slot in range(MOST) if slot not in self._slots.values())

    def _choose(self) -> None:
        self._undecided = False
        self._feed.follow(self, self.users)
        self._draw()


def _change(what: Callable[[], None]) -> None:
    """Change the page after something was waited for: its document is another's to change meanwhile."""
    pn.state.execute(what, schedule=True)


def _starting(reader: Reader, prefix: str) -> list[str]:
    """Users whose id starts with what was typed, or with that without the spaces that pasting brings."""
    return reader.search(prefix, FOUND) or reader.search(prefix.strip(), FOUND)


def serve() -> None:
    """Serve the page in the session that runs now."""
    source = shared()  # first: wrong settings end the program, guarded or not
    request = getattr(getattr(pn.state.curdoc, "session_context", None), "request", None)
    if request is not None and not getattr(request, "guarded", False):
        pn.Row("This page is served with --plugins viz.api, which guards it.").servable(title="Ad-Streams")
        return
    page = Page(source, getattr(request, "uri", "").partition("?")[2])
    # Not before the browser is there: what changes earlier can be lost on the way to it.
    pn.state.onload(page.start)
    pn.state.on_session_destroyed(lambda _: page.leave())
    page.template().servable(title="Ad-Streams")
