"""What the pages show, read from the store by one thread for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from model.actions.catalogue import Actions
from model.scoring.belief import Belief, believe
from model.scoring.propensity import Model
from schemas.advice import Policy
from schemas.grades import Grade
from schemas.provenance import SIMULATOR, Provenance
from stores.answers import CreditSum, Latest, Summary
from stores.base import Reader
from viz.newest import believed_newest
from viz.stream_clock import StreamClock
from viz.trace import Trace, Tracer

POLL = 1.0
"""Seconds between two looks at the store."""
CANDIDATES, MOST_CANDIDATES = 32, 2_048
"""Users with the greatest propensity after their newest event, among whom the most likely now are found;
of more where too many of them are set apart."""
MOST_WAIT = 10.0
"""Seconds that a list may be old at the most."""
RECENT_DAYS = (1, 7)
"""Days within which users were active who are candidates beside them: an old score may have decayed since."""
DAY = 86_400_000
LISTED = 9
"""Users in a list."""
CREDITED_DAYS = 7
"""UTC days, the newest event's the last, whose credit is summed up."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A user in a list: what their newest event was, and the curve that they follow since then."""

    user_id: str
    event_time: int
    event_type: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read at one poll. `traces` has those of the `followed` users that the store knows.

    `set_apart` users would be listed, but for that they are automated.
    """

    newest: int | None = None
    summary: Summary = field(default_factory=lambda: Summary(0, None, 0))
    likely: tuple[Standing, ...] = ()
    recent: tuple[Standing, ...] = ()
    followed: frozenset[str] = frozenset()
    traces: Mapping[str, Trace] = field(default_factory=dict)
    grades: tuple[Grade, ...] = ()
    credited: tuple[CreditSum, ...] = ()
    set_apart: int = 0
    problem: str = ""

    @property
    def oldest(self) -> int | None:
        """The first event time (ms) of the users listed and followed: the stream began then, or before."""
        known = [standing.trace for standing in (*self.likely, *self.recent)] + list(self.traces.values())
        return min((trace.points[0].event_time for trace in known if trace.points), default=None)


class _Pace:
    """When to do something slow again: not before `least` seconds, later if it took long, but within `most`."""

    def __init__(self, least: float, most: float = MOST_WAIT) -> None:
        self._least, self._most, self._due = least, most, 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def took(self, seconds: float) -> None:
        self._due = time.monotonic() + min(max(self._least, 50 * seconds), self._most)


class Feed:
    """Polls a store and keeps the newest snapshot; any number of pages follow users through it.

    Args:
        open_reader: opens the store; asked again when reading fails.
        tracer: computes the curves.
        clock: the stream's time.
        challenger: the id of the model that is graded beside those of the store.
        max_skew: how far a user's clock may be ahead of the others' and be believed at once.
        policy: which models advise and credit.
        examples: actions that are nobody's own, and mean something in the simulated world alone.
        simulated: whether the stream is the simulated world's, where the store does not say what filled it.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        tracer: Tracer,
        clock: StreamClock | None = None,
        challenger: str | None = None,
        max_skew: timedelta = timedelta(hours=1),
        policy: Policy = Policy.BELIEVED,
        examples: Actions | None = None,
        simulated: bool = True,
    ) -> None:
        self._skew = max_skew
        self._policy, self._examples, self._assumed, self._simulated = policy, examples, simulated, simulated
        self.tracer, self.open_reader, self._challenger = tracer, open_reader, challenger
        self.snapshot = Snapshot()
        self._clock = clock or StreamClock(POLL)
        self._reader: Reader | None = None
        self._followed: dict[object, tuple[str, ...]] = {}
        self._known: dict[str, tuple[Latest, Trace]] = {}
        self._lists, self._counts, self._models = _Pace(2.0), _Pace(2.0), _Pace(2.0)
        self._sums = _Pace(5.0, 600.0)
        self._lock, self._wake, self._stopped = threading.Lock(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Poll from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the polling and let go of the store."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.poll()
            self._wake.wait(POLL)
            self._wake.clear()

    def follow(self, page: object, users: tuple[str, ...]) -> None:
        """Have the traces of these users in the coming snapshots, in place of those that `page` had."""
        with self._lock:
            self._followed[page] = users
        self._wake.set()

    def leave(self, page: object) -> None:
        """Follow nobody for `page` any more."""
        with self._lock:
            self._followed.pop(page, None)

    @property
    def now(self) -> int | None:
        """The stream's time in ms, None while the store is empty."""
        with self._lock:
            return self._clock.now()

    @property
    def is_moving(self) -> bool:
        """Whether newer events came of late."""
        with self._lock:
            return self._clock.is_moving

    @property
    def speed(self) -> float:
        """Milliseconds of event time that pass in a second."""
        with self._lock:
            return self._clock.speed

    def grades(self, reader: Reader) -> list[Grade]:
        """The grades of the store's models and of the challenger; those of former challengers are left out."""
        known = {*self.tracer.models.ids, self._challenger}
        return [grade for grade in reader.grades() if grade.model_id in known]

    @property
    def shows_examples(self) -> bool:
        """Whether the actions are nobody's own."""
        return self._examples is not None and self._simulated

    def _learn_source(self, reader: Reader) -> None:
        """Take over what filled the store: of people who are not simulated there are no example actions."""
        told = reader.provenance()
        try:
            self._simulated = self._assumed if told is None else Provenance.from_json(told).source == SIMULATOR
        except ValueError:
            self._simulated = False
        if self._examples is not None:
            self.tracer.offer(self._examples if self._simulated else Actions.none())

    def belief(self, model: Model, grades: Iterable[Grade]) -> Belief:
        """Whether what a model advises, and credits, is given; `grades` are those of the store."""
        return believe(model, grades, self._policy, self._simulated)

    def doubted(self, grades: Sequence[Grade]) -> dict[str, Belief]:
        """By their ids the models that are not believed."""
        beliefs = {model.id: self.belief(model, grades) for model in self.tracer.models.models}
        return {name: belief for name, belief in beliefs.items() if not belief.believed}

    def poll(self) -> None:
        """Look at the store once. What goes wrong is told in the snapshot, and tried anew at the next."""
        try:
            if self._reader is None:
                self._reader = self.open_reader()
            self.snapshot = self._read(self._reader)
        except Exception as error:  # whatever a store's driver raises: the pages go on with what they have
            self.snapshot = replace(self.snapshot, problem=str(error) or type(error).__name__)
            self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _read(self, reader: Reader) -> Snapshot:
        old = self.snapshot
        if self._models.is_due():
            begun = time.monotonic()
            self._learn_source(reader)
            self.tracer.follow(reader.models())
            self._models.took(time.monotonic() - begun)
        with self._lock:
            users = frozenset(user for followed in self._followed.values() for user in followed)
        traces = {user: self._trace(reader, user, old.traces.get(user)) for user in users}
        known = {user: trace for user, trace in traces.items() if trace is not None}
        # Of a scan of many users, the most recent may be older than what was read of those who are followed.
        newest = believed_newest(
            reader, {user: trace.points[-1].event_time for user, trace in known.items()}, self._skew
        )
        with self._lock:
            self._clock.observe(newest)
        begun = time.monotonic()
        likely, recent, set_apart = old.likely, old.recent, old.set_apart
        if self._lists.is_due() or not likely:
            likely, recent, set_apart = self._read_lists(reader)
            self._lists.took(time.monotonic() - begun)
        begun, summary, grades = time.monotonic(), old.summary, old.grades
        if self._counts.is_due():
            summary = reader.summary()
            grades = tuple(self.grades(reader))
            self._counts.took(time.monotonic() - begun)
        begun, credited = time.monotonic(), old.credited
        if newest is not None and old.newest is not None and self._sums.is_due():  # what takes long is not waited for
            credited = tuple(reader.credit_sums(newest - (CREDITED_DAYS - 1) * DAY))
            self._sums.took(time.monotonic() - begun)
        return Snapshot(newest, summary, likely, recent, users, known, grades, credited, set_apart)

    def _trace(self, reader: Reader, user: str, old: Trace | None) -> Trace | None:
        points = tuple(reader.curve(user, limit=2 * self.tracer.length))
        if not points:
            return None
        if old is not None and old.points == points:
            return old
        trace = self.tracer.trace(points)
        self.tracer.credits(trace)  # here, so that no page waits for it
        return trace

    def _read_lists(self, reader: Reader) -> tuple[tuple[Standing, ...], tuple[Standing, ...], int]:
        """Who is most likely to convert, who came last, and how many are set apart among those who may be likely."""
        known, self._known = self._known, {}
        count, likely, all_apart = CANDIDATES, list[Standing](), 0
        while True:
            candidates = self._candidates(reader, count)
            standings = self._standings(reader, candidates, known)
            likely = [each for each in standings if not self.tracer.is_set_apart(each.trace)]
            all_apart = len(standings) - len(likely)
            if len(likely) >= LISTED or not all_apart or len(candidates) < count or count >= MOST_CANDIDATES:
                break
            count *= 4
        recent = self._standings(reader, reader.most_recent(LISTED), known)
        return tuple(self._ranked(likely)[:LISTED]), tuple(recent), all_apart

    def _candidates(self, reader: Reader, count: int) -> list[Latest]:
        """Who may be the most likely now: the greatest after their newest event, of all and of the lately active."""
        now = self.now or 0
        found = reader.most_likely(count)
        for days in RECENT_DAYS:
            found += reader.most_likely(count, now - days * DAY)
        return list({latest.user_id: latest for latest in found}.values())

    def _ranked(self, users: list[Standing]) -> list[Standing]:
        now = self.now or 0
        return sorted(users, key=lambda user: self.tracer.at(user.trace, now) or 0.0, reverse=True)

    def _standings(
        self, reader: Reader, users: list[Latest], known: Mapping[str, tuple[Latest, Trace]]
    ) -> list[Standing]:
        """Users with their curves, which are read where they are not `known` as they are now."""
        standings = []
        for latest in users:
            kept = self._known.get(latest.user_id) or known.get(latest.user_id)
            if kept is None or kept[0] != latest:
                kept = latest, self.tracer.trace(reader.curve(latest.user_id, limit=2 * self.tracer.length))
            self._known[latest.user_id] = kept
            standings.append(Standing(latest.user_id, latest.event_time, latest.event_type, kept[1]))
        return standings
