"""The four panels under the chart: why, what next, the credit of conversions, and the grade of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from model.scoring.belief import Belief
from model.scoring.known_campaigns import unknown_campaigns
from schemas.event_types import TYPE_OF
from viz import look
from viz.credited import basis, credited
from viz.doors import too_long
from viz.feed import DAY, Feed, Snapshot
from viz.graded import graded, plainly
from viz.next_move import next_move, withheld
from viz.parts import Part
from viz.trace import Trace
from viz.why import CHOICES, why
from viz.words import ASKED, NOBODY, NOT_BEGUN, moment, visible

UNKNOWN = "Unavailable: too many of this user's events are no longer stored."


class Insights:
    """The panels of one session, and which of the users shown the first two are about: the chosen one, or the first.

    `moment` is the time (ms) that is explained, None for now.

    Args:
        feed: its tracer explains and advises, and it says which models are believed.
        changed: called when somebody asks for something else.
    """

    def __init__(self, feed: Feed, changed: Callable[[], None]) -> None:
        self._feed, self._tracer, self._changed = feed, feed.tracer, changed
        self._doubted: Mapping[str, Belief] = {}
        self._user, self._by, self._credited = "", next(iter(CHOICES)), list[object]()
        self.moment: int | None = None
        self.subject, self.why = Part("subject", self.receive), Part("why", self.receive)
        self.next_move, self.credited, self.graded = Part("next_move"), Part("credited"), Part("graded")
        self.parts = {part.kind: part for part in (self.subject, self.why, self.next_move, self.credited, self.graded)}

    @property
    def asked(self) -> tuple[str, str, int | None]:
        """What was asked for."""
        return self._user, self._by, self.moment

    def start(self, user: str, moment: int | None) -> None:
        """Explain this user and this time (ms) at first."""
        self._user, self.moment = user, moment

    def explain(self, user: str, moment: int | None) -> None:
        """Explain a user's propensity at a time (ms) from now on, None being the stream's now."""
        self._user, self.moment = user, moment
        self._changed()

    def receive(self, message: dict[str, Any]) -> None:
        """Take a click: a dict with the name of what is asked for."""
        for asked, value in message.items():
            match asked, value:
                case "about", str() if not too_long(value):
                    self._user = value
                    self._changed()
                case "by", str() if value in CHOICES:
                    self._by = value
                    self._changed()
                case "now", True:
                    self.explain(self._user, None)

    def show(self, snapshot: Snapshot, traces: Mapping[str, Trace], slots: Mapping[str, int], now: int | None) -> None:
        """Show what there is to know at a time (ms) of the users in `slots`, whose `traces` end then."""
        self._doubted = self._feed.doubted(snapshot.grades)
        user = self._user if self._user in slots else next(iter(slots), "")
        listed = [
            {"user": each, "name": visible(each), "colour": look.USER_COLOURS[slot], "chosen": each == user}
            for each, slot in slots.items()
        ]
        then = None if self.moment is None or now is None else min(self.moment, now)
        self.subject.put(
            users=listed,
            moment=None if then is None else moment(then),
            now=None if then is None or now is None else moment(now),
        )
        trace = traces.get(user)
        if not user:
            self._say(NOBODY)
        elif trace is None or now is None:
            known = f"The store has no event of “{visible(user)}” yet. The panels fill with the first one."
            self._say(known if user in snapshot.followed else ASKED)
        elif not trace.has_begun:
            self._say(NOT_BEGUN)
        else:
            self._explain(trace, now)
            self._advise(user, trace, now)
        model = self._tracer.model_at(now)
        shown = [
            model,
            self._tracer.models,
            snapshot.credited,
            self._doubted,
            now is not None and now // DAY,
            *((each, slots[each], traces.get(each)) for each in slots),
        ]
        if shown != self._credited:  # it does not depend on the time
            self._credited = shown
            told = credited(traces, slots, self._tracer, snapshot.credited, self._doubted, now)
            self.credited.put(**told, basis=basis(model))
        seen = {each.campaign for each in snapshot.credited if each.type}
        points = chain.from_iterable(each.points for each in traces.values())
        seen |= {point.campaign for point in points if TYPE_OF[point.event_type].is_touch}
        caution = visible(unknown_campaigns(model, seen))
        self.graded.put(**graded(model, snapshot.grades, snapshot.oldest), caution=caution[:1].upper() + caution[1:])

    def _explain(self, trace: Trace, now: int) -> None:
        time = now if self.moment is None else min(self.moment, now)
        explanation = self._tracer.explain(trace, time)
        facts = {"note": UNKNOWN} if explanation is None else why(trace, explanation, self._tracer, time, self._by)
        doubt = self._doubted.get(self._tracer.model_at(time).id)
        caution = f"Not to be relied on. {plainly(doubt.why)}" if doubt else ""
        self.why.put(**facts, moment=None if self.moment is None else moment(time), caution=caution)

    def _advise(self, user: str, trace: Trace, now: int) -> None:
        model = self._tracer.model_at(now)
        if model.id in self._doubted:
            self.next_move.put(**withheld(self._doubted[model.id]))
        elif self._tracer.at(trace, now) is None:
            self.next_move.put(note=UNKNOWN)
        else:
            options = self._tracer.options(trace, now)
            apart = self._tracer.is_set_apart(trace)
            self.next_move.put(**next_move(user, options, model.horizon, apart, self._feed.shows_examples))

    def _say(self, note: str) -> None:
        self.why.put(note=note)
        self.next_move.put(note=note)
