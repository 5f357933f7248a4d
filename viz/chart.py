"""The chart: a curve for each chosen user, a marker for every event."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import panel as pn
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.events import MouseEnter, MouseLeave, RangesUpdate, Tap
from bokeh.models import ColumnDataSource, DatetimeTicker, NumeralTickFormatter, Range1d
from bokeh.models.annotations import BoxAnnotation, Span

from schemas.event_fields import STORED
from schemas.event_types import RANK
from schemas.events import MISSING
from stores.answers import Point
from viz import look
from viz.drawing import add_changes, add_cursor, add_curves, add_ends, add_events, add_moment, add_now, empty_figure
from viz.trace import Credit, Trace, Tracer
from viz.words import TYPE_NAMES, dollars, moment, percent, points, short_moment, visible

HOUR = 3_600_000
WINDOWS: dict[str, tuple[str, int | None]] = {
    "auto": ("Auto", None),
    "1d": ("Day", 24 * HOUR),
    "1w": ("Week", 168 * HOUR),
    "1m": ("Month", 720 * HOUR),
    "all": ("All", None),
}
"""The visible windows by their name in the page's address: title, and width in ms where it is fixed."""
SHORTEST, LONGEST = 6 * HOUR, 720 * HOUR
"""Bounds of the window that chooses its own width."""
MOST_CREDITED = 4
"""Touches of a conversion whose credit is told."""
NARROW = 480
"""Pixels below which the time axis has fewer labels."""
LONGEST_NAME = 24
"""Letters of a model's id beside the line from where on it is valid."""
ROOM = 64
"""Pixels that are left free on the right of now, for the propensities."""
REACH = 6
"""Pixels beside an event within which a tap means the event."""
MARKER = ("time", "propensity", "shape", "size", "colour", "rank", "user", "type", "lines")
"""The columns of the markers."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A chosen user who is in the chart; `slot` decides the colour."""

    user_id: str
    slot: int
    trace: Trace


def window_start(window: str, traces: Sequence[Trace], now: int) -> int:
    """Where a visible window that ends now begins (ms)."""
    width = WINDOWS[window][1]
    if width is not None:
        return now - width
    firsts = [trace.points[0].event_time for trace in traces if trace.points]
    span = max(now - min(firsts, default=now), SHORTEST)
    if window == "auto":
        span = min(span, LONGEST)
    return now - round(span * 1.04)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved up so that no two are closer than `gap`, their order kept.

    >>> spread([0.5, 0.5, 0.1], 0.2)
    [0.5, 0.7, 0.1]
    """
    placed, floor = list(heights), float("-inf")
    for place in sorted(range(len(placed)), key=placed.__getitem__):
        placed[place] = max(placed[place], floor)
        floor = placed[place] + gap
    return placed


def describe(point: Point, change: float, more: Sequence[str] = ()) -> str:
    """What is told about an event, a fact a line; `change` is NaN where it is not known."""
    texts = {column.label: getattr(point, column.name) for column in STORED if column.label}
    facts = [
        moment(point.event_time),
        f"Propensity after it: {percent(point.propensity)}",
        f"Change it made: {points(change)}" if np.isfinite(change) else "",
        *(f"{name}: {visible(text)}" for name, text in texts.items() if text not in ("", MISSING)),
        f"Revenue: {dollars(point.revenue)} for {point.quantity:,}" if point.revenue or point.quantity else "",
        f"Event number {point.seen:,} of this user",
        *more,
    ]
    return "\n".join(fact for fact in facts if fact)


def credit_lines(points: Sequence[Point], credit: Credit, is_believed: bool = True) -> list[str]:
    """What the model credits a conversion to, the greatest shares first, and what the last touch would have got.

    Where the model is not believed, the last touch's is all.
    """
    last = [f"Last touch: all to {_touch(points[credit.touches[-1]])}"] if len(credit.touches) else []
    if not is_believed:
        return ["\nCredit by the model is withheld: it is not believed", *last]
    order = np.argsort(-credit.shares, kind="stable")
    best = [place for place in order.tolist() if credit.shares[place] > 0][:MOST_CREDITED]
    lines = [f"  {percent(float(credit.shares[place]))} {_touch(points[credit.touches[place]])}" for place in best]
    rest = len(credit.shares) - len(best)
    if rest:
        others = f"{rest:,} other {'touch' if rest == 1 else 'touches'}"
        lines.append(f"  {_share(1 - credit.baseline - float(credit.shares[best].sum()))} {others}")
    lines.append(f"  {_share(credit.baseline)} no touch")
    return ["\nCredit, by the model:", *lines, *last]


def _share(share: float) -> str:
    return percent(share) if share >= 0 else f"\N{MINUS SIGN}{percent(-share)}"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _touch(point: Point) -> str:
    campaign = f" {visible(point.campaign)}" if point.campaign not in ("", MISSING) else ""
    return f"{TYPE_NAMES[point.event_type]}{campaign}, {short_moment(point.event_time)}"


class Chart(pn.viewable.Viewer):
    """Curves and markers of a few users over event time."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracer = tracer
        self._marked: object = None
        self._shown: Sequence[Shown] = ()
        self._pixel = 0.0
        self.curves = [ColumnDataSource({"time": [], "propensity": []}) for _ in look.USER_COLOURS]
        self.events = ColumnDataSource({name: [] for name in MARKER})
        self.ends = ColumnDataSource({name: [] for name in ("time", "propensity", "height", "text", "colour")})
        self.cursor, self.told = ColumnDataSource({"time": [], "propensity": []}), ""
        self._start, self._hidden, self._doubted = 0, frozenset[str](), frozenset[str]()
        self.changes = ColumnDataSource({name: [] for name in ("start", "height", "text")})
        self.times, self.heights, self._top = Range1d(start=0, end=1), Range1d(start=0, end=1), 0.0
        self._now, self._future, self._moment = Span(), BoxAnnotation(), Span()
        self._ticker = DatetimeTicker()
        self.figure = empty_figure(self.times, self.heights)
        self.figure.xaxis.ticker = self._ticker
        add_now(self.figure, self._now, self._future)
        add_moment(self.figure, self._moment)
        add_changes(self.figure, self.changes)
        add_curves(self.figure, self.curves)
        add_events(self.figure, self.events)
        add_cursor(self.figure, self.cursor)
        add_ends(self.figure, self.ends)
        self._pane = pn.Column(self.figure, sizing_mode="stretch_both")

    def __panel__(self) -> pn.viewable.Viewable:
        return self._pane

    def on_zoom(self, told: Callable[[], None]) -> None:
        """Call `told` when somebody looks closer at a part of the window."""
        self.figure.on_event(RangesUpdate, lambda _: told())

    def on_pointer(self, told: Callable[[bool], None]) -> None:
        """Call `told` with whether the pointer is over the chart, when it comes and when it leaves."""
        self.figure.on_event(MouseEnter, lambda _: told(True))
        self.figure.on_event(MouseLeave, lambda _: told(False))

    def on_tap(self, told: Callable[[str, int], None]) -> None:
        """Call `told` with whose curve is nearest to a tap, and the time (ms) of the tap or of their event there."""

        def tapped(event: Any) -> None:
            if event.x is not None and event.y is not None and self._shown:
                told(*min((self._near(one, event.x, event.y) for one in self._shown), key=itemgetter(0))[1:])

        self.figure.on_event(Tap, tapped)

    def _near(self, one: Shown, x: float, y: float) -> tuple[float, str, int]:
        """How far above or below a place a user's curve is, the user, and the time (ms), an event's within reach."""
        stamps = one.trace.sequence.timestamps
        nearest = stamps[np.abs(stamps - x).argmin()] if len(stamps) else x
        time = round(nearest if abs(nearest - x) <= REACH * self._pixel else x)
        height = self._tracer.at(one.trace, time)
        return math.inf if height is None else abs(height - y), one.user_id, time

    def draw(
        self,
        shown: Sequence[Shown],
        window: str,
        now: int,
        hidden: frozenset[str] = frozenset(),
        moment: int | None = None,
        doubted: frozenset[str] = frozenset(),
        cursor: tuple[str, int] | None = None,
    ) -> None:
        """Draw these users' curves up to `now` (ms), events but those of hidden types, and a line at `moment` (ms).

        Credit by models of the `doubted` ids is not told. `cursor` is the event that the keyboard is at: whose, and
        when.
        """
        self._shown, self._hidden, self._doubted = shown, hidden, doubted
        self._moment.update(location=moment or 0, visible=moment is not None)
        start = window_start(window, [one.trace for one in shown], now)
        lines = {one.slot: self._tracer.line(one.trace, start, now) for one in shown}
        lines = {slot: line for slot, line in lines.items() if len(line.times)}
        for slot, source in enumerate(self.curves):
            if slot in lines:
                source.data = {"time": lines[slot].times, "propensity": lines[slot].propensities}
            elif len(source.data["time"]):
                source.data = {"time": [], "propensity": []}
        self._frame(start, now, max((line.propensities.max() for line in lines.values()), default=0.0))
        self._mark(shown, hidden, doubted)
        self._tell_models(start, now)
        self._start = start
        self._point_at(cursor)
        ends = [float(line.propensities[-1]) for line in lines.values()]
        self.ends.data = {
            "time": [now] * len(ends),
            "propensity": ends,
            "height": spread(ends, self._top / 24),
            "text": [percent(end) for end in ends],
            "colour": [look.USER_COLOURS[slot] for slot in lines],
        }

    def neighbour(self, at: tuple[str, int] | None, key: str) -> tuple[str, int] | None:
        """Whose event a key leads to, and when (ms) it was: along the curve, or to the one nearest on another curve.

        None where no event is seen.
        """
        seen = {one.user_id: times for one in self._shown if (times := self._seen(one))}
        users = list(seen)
        if not users:
            return None
        user, time = at if at is not None and at[0] in seen else (users[0], None)
        if key in ("ArrowUp", "ArrowDown") and time is not None:
            step = 1 if key == "ArrowDown" else -1
            user = users[(users.index(user) + step) % len(users)]
            return user, min(seen[user], key=lambda each: abs(each - time))
        times = seen[user]
        if key == "Home" or (time is None and key == "ArrowRight"):
            return user, times[0]
        if key == "ArrowLeft" and time is not None:
            return user, max((each for each in times if each < time), default=times[0])
        if key == "ArrowRight" and time is not None:
            return user, min((each for each in times if each > time), default=times[-1])
        return user, times[-1]

    def _seen(self, one: Shown) -> list[int]:
        """The times (ms) of a user's events that have a marker in the window."""
        seen = (point for point in one.trace.points if point.event_type not in self._hidden)
        return sorted({point.event_time for point in seen if point.event_time >= self._start})

    def _point_at(self, cursor: tuple[str, int] | None) -> None:
        """A ring around the event that the keyboard is at, and what hovering over it would tell."""
        ring, self.told = {"time": list[int](), "propensity": list[float]()}, ""
        one = next((each for each in self._shown if cursor is not None and each.user_id == cursor[0]), None)
        if one is not None and cursor is not None:
            stamps = one.trace.sequence.timestamps
            place = int(np.searchsorted(stamps, cursor[1], "right")) - 1
            if place >= 0 and stamps[place] == cursor[1]:
                row = self._markers(one, self._doubted)[place]
                ring = {"time": [row["time"]], "propensity": [row["propensity"]]}
                self.told = f"{row['type']} of {row['user']}\n{row['lines']}"
        if ring != dict(self.cursor.data):
            self.cursor.data = ring

    def _frame(self, start: int, now: int, greatest: float) -> None:
        """Fit the ranges to the window; the height follows in steps, so that it does not tremble."""
        self._pixel = (now - start) / (self.width - ROOM)
        self._ticker.desired_num_ticks = 3 if self.width < NARROW else 6
        self.times.update(start=start, end=now + round(ROOM * self._pixel))
        self._now.location, self._future.left = now, now
        needed = min(max(greatest * 1.1, 0.02), 1.04)
        if not 0.7 * self._top <= needed <= self._top:
            self._top = min(needed * 1.08, 1.04)
            self.heights.update(start=0, end=self._top)
            self.figure.yaxis.formatter = NumeralTickFormatter(format="0%" if self._top > 0.08 else "0.0%")

    def _tell_models(self, start: int, now: int) -> None:
        """A line from where on another model is valid, where that is in the window (ms)."""
        models = self._tracer.models
        seen = [
            (time, f"Model {_shortened(visible(name))}")
            for time, name in zip(models.starts.tolist(), models.ids[1:], strict=True)
            if start <= time <= now
        ]
        self.changes.data = {
            "start": [time for time, _ in seen],
            "height": [self._top] * len(seen),
            "text": [text for _, text in seen],
        }

    @property
    def width(self) -> int:
        """The inner width of the figure in pixels, as the browser told, or that of a usual one."""
        try:
            return max(int(self.figure.inner_width), 3 * ROOM)
        except UnsetValueError:
            return 14 * ROOM

    def _mark(self, shown: Sequence[Shown], hidden: frozenset[str], doubted: frozenset[str]) -> None:
        """Send the markers where they changed: a late event changes those after it, so all are replaced."""
        marked = ([(one.user_id, one.slot, one.trace) for one in shown], hidden, doubted)
        if marked == self._marked:
            return
        self._marked = marked
        rows = [row for one in shown for row in self._markers(one, doubted) if row["kind"] not in hidden]
        rows.sort(key=lambda row: int(row["rank"]))  # rare types lie over common ones
        self.events.data = {name: [row[name] for row in rows] for name in MARKER}

    def _markers(self, one: Shown, doubted: frozenset[str]) -> list[dict[str, Any]]:
        trace, changes = one.trace, self._tracer.changes(one.trace).tolist()
        credits = {}
        for place, credit in self._tracer.credits(trace).items():
            believed = self._tracer.model_at(trace.points[place].event_time).id not in doubted
            credits[place] = credit_lines(trace.points, credit, believed)
        return [
            _marker(one.user_id, point, changes[place], credits.get(place, ()))
            for place, point in enumerate(trace.points)
        ]


def _marker(user_id: str, point: Point, change: float, more: Sequence[str]) -> dict[str, Any]:
    mark = look.MARKS[point.event_type]
    return {
        "time": point.event_time,
        "propensity": point.propensity,
        "shape": mark.shape,
        "size": mark.size,
        "colour": mark.colour,
        "rank": RANK[point.event_type],
        "user": visible(user_id),
        "type": TYPE_NAMES[point.event_type],
        "kind": point.event_type,
        "lines": describe(point, change, more),
    }
