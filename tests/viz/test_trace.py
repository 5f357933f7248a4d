from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from model.attribution.explanation import Explainer
from model.attribution.rules import ATTRIBUTION_WINDOW, Attribution
from model.bucket import Bucket
from model.features.curve import Curve
from model.timeline import Models
from schemas.credits import BASELINE
from schemas.event_types import TYPES
from schemas.events import Event
from schemas.stored_models import StoredModel
from stores.answers import Point
from stores.sqlite.reader import SqliteReader
from tests.model.driving import batch_of
from tests.viz.streams import DAY, DECAY, HOUR, SEED, START, Stream, journey, load
from viz.chart import Chart, Shown
from viz.shared import _open as open_shared
from viz.trace import Trace, Tracer


def stored(stream: Stream, user: str, limit: int = 2_000) -> list[Point]:
    return points_of(stream.path, user, limit)


def points_of(path: Path, user: str, limit: int = 2_000) -> list[Point]:
    with closing(SqliteReader(path)) as reader:
        return reader.curve(user, limit=limit)


@pytest.fixture(params=[SEED, DECAY], ids=["seed", "decay"])
def simulated(request: pytest.FixtureRequest, tmp_path: Path) -> Stream:
    stream = Stream(tmp_path / "simulated.db", load(request.param))
    stream.simulate(20 * DAY, users=40)
    stream.close()
    return stream


def test_the_curve_is_the_stored_propensity_at_every_event(simulated: Stream) -> None:
    tracer = Tracer(simulated.model, 1_000)
    compared = 0
    for number in range(40):
        trace = tracer.trace(stored(simulated, f"user-{number:07d}"))
        for earlier, point in zip(trace.points, (*trace.points[1:], None), strict=True):
            if point is None or point.event_time != earlier.event_time:  # the last of its instant
                assert tracer.at(trace, earlier.event_time) == pytest.approx(earlier.propensity, abs=1e-12)
                compared += 1
    assert compared > 1_000


def test_the_line_is_the_model_at_every_time_of_its_grid(simulated: Stream) -> None:
    tracer = Tracer(simulated.model, 1_000)
    trace = tracer.trace(stored(simulated, "user-0000003"))
    line = tracer.line(trace, START, START + 25 * DAY)
    assert len(line.times) > 480
    assert (np.diff(line.times) > 0).all()
    exact = Curve(simulated.model).propensity(trace.sequence, line.times)
    np.testing.assert_array_equal(line.propensities, exact)
    one_by_one = [tracer.at(trace, int(time)) or 0.0 for time in line.times]
    np.testing.assert_allclose(line.propensities, one_by_one, rtol=0, atol=1e-12)


def test_jumps_are_upright(stream: Stream) -> None:
    """A line has the millisecond before each event and the event's own, however wide the window is."""
    stream.send(*journey("ann", ["IM", "CL", "PS", "CN"]))
    tracer = Tracer(stream.model, 1_000)
    trace = tracer.trace(stored(stream, "ann"))
    times = set(tracer.line(trace, START - DAY, START + 300 * DAY).times.tolist())
    for point in trace.points:
        assert {point.event_time - 1, point.event_time} <= times


def test_an_event_leaves_its_window_upright(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "store.db", load(SEED))
    stream.send(*journey("ann", ["PS"]))
    tracer = Tracer(stream.model, 1_000)
    line = tracer.line(tracer.trace(stored(stream, "ann")), START, START + 40 * DAY)
    at = dict(zip(line.times.tolist(), line.propensities.tolist(), strict=True))
    assert at[START + 2 * DAY] > at[START + 2 * DAY + 1]
    assert len(set(at.values())) == 2
    stream.close()


def test_the_line_starts_right_before_the_first_event_and_ends_now(stream: Stream) -> None:
    stream.send(*journey("ann", ["IM", "CL"]))
    tracer = Tracer(stream.model, 1_000)
    trace = tracer.trace(stored(stream, "ann"))
    line = tracer.line(trace, 0, START + DAY)
    assert (line.times[0], line.times[-1]) == (START - 1, START + DAY)
    assert not len(tracer.line(trace, 0, START - 2).times)


def test_changes_are_against_the_moment_before(stream: Stream) -> None:
    stream.send(*journey("ann", ["IM", "CL", "PS", "CN"]))
    tracer = Tracer(stream.model, 1_000)
    trace = tracer.trace(stored(stream, "ann"))
    for change, point in zip(tracer.changes(trace), trace.points, strict=True):
        before = tracer.at(trace, point.event_time - 1)
        assert before is not None
        assert change == pytest.approx(point.propensity - before, abs=1e-12)


def test_events_of_one_instant_change_it_one_after_another(stream: Stream) -> None:
    stream.send(*(Event(f"e{number}", "ann", START, kind) for number, kind in enumerate(TYPES)))
    tracer = Tracer(stream.model, 1_000)
    trace = tracer.trace(stored(stream, "ann"))
    baseline = tracer.at(trace, START - 1)
    assert baseline is not None
    assert [point.event_type for point in trace.points] == list(TYPES)
    assert tracer.changes(trace).sum() == pytest.approx(trace.points[-1].propensity - baseline, abs=1e-12)


def test_each_moment_is_of_the_model_that_is_valid_then(tmp_path: Path) -> None:
    """At events as in the stream, between them with a jump where the model changes, and so are credits."""
    change, seed, decay = START + 13 * HOUR, load(SEED), load(DECAY)
    stream = Stream(tmp_path / "store.db", seed, following=[StoredModel(change, "decay", decay.model_dump_json())])
    stream.send(*journey("ann", ["IM", "CL", "CN", "PS", "CN"]))
    tracer = Tracer(decay, 1_000)
    with closing(SqliteReader(stream.path)) as reader:
        tracer.follow(reader.models())
    trace = tracer.trace(stored(stream, "ann"))
    assert [point.model_id for point in trace.points] == ["seed"] * 3 + ["decay"] * 2
    for point in trace.points:
        assert tracer.at(trace, point.event_time) == pytest.approx(point.propensity, abs=1e-12)
    line = tracer.line(trace, START, START + 2 * DAY)
    at = dict(zip(line.times.tolist(), line.propensities.tolist(), strict=True))
    for model, time in ((seed, change - 1), (decay, change)):
        assert at[time] == Curve(model).propensity(trace.sequence, np.array([time]))[0]
    for place, model in ((2, seed), (4, decay)):
        expected = Explainer(model, 1_000).credit(trace.sequence, place)
        assert tracer.credits(trace)[place].shares.tolist() == expected[~np.isnan(expected)].tolist()
    assert [tracer.model_at(time).id for time in (None, change - 1, change)] == ["seed", "seed", "decay"]
    stream.close()


def test_a_change_of_the_model_is_marked_where_it_is_in_view(tmp_path: Path) -> None:
    change, name = START + 13 * HOUR, "a-model-with-a-very-long-name"
    later = load(DECAY).model_copy(update={"id": name})
    stream = Stream(tmp_path / "store.db", load(SEED), following=[StoredModel(change, name, later.model_dump_json())])
    stream.send(*journey("ann", ["IM", "CL"]))
    tracer = Tracer(later, 1_000)
    with closing(SqliteReader(stream.path)) as reader:
        tracer.follow(reader.models())
    chart, ann = Chart(tracer), Shown("ann", 0, tracer.trace(stored(stream, "ann")))
    for now, seen in ((change - 1, []), (change, [change]), (change + DAY, [change]), (change + DAY + 1, [])):
        chart.draw([ann], "1d", now)
        assert chart.changes.data["start"] == seen
        assert chart.changes.data["text"] == ["Model a-model-with-a-very-lon…"] * len(seen)
    stream.close()


class TestCutOff:
    """A user with more events than are loaded: the curve starts where all events that count are known."""

    LENGTH, EVENTS = 10, 50

    @pytest.fixture
    def points(self, tmp_path: Path) -> list[Point]:
        stream = Stream(tmp_path / "long.db", load(DECAY), self.LENGTH)
        for event in journey("ann", ["IM", "CL", "IM", "PS", "CN"] * (self.EVENTS // 5), gap=HOUR):
            stream.send(event)
        stream.close()
        return stored(stream, "ann", limit=2 * self.LENGTH)

    def test_it_starts_at_the_last_of_the_first_events_that_count(self, points: list[Point]) -> None:
        trace = Trace.of(points, self.LENGTH)
        assert trace.sequence.before == self.EVENTS - 2 * self.LENGTH
        assert trace.exact_from == points[self.LENGTH - 1].event_time

    def test_it_is_exact_from_there(self, points: list[Point]) -> None:
        tracer = Tracer(load(DECAY), self.LENGTH)
        trace = tracer.trace(points)
        for point in points[self.LENGTH - 1 :]:
            assert tracer.at(trace, point.event_time) == pytest.approx(point.propensity, abs=1e-12)
        assert tracer.at(trace, points[self.LENGTH - 1].event_time - 1) is None
        assert tracer.line(trace, 0, points[-1].event_time).times[0] == trace.exact_from

    def test_changes_before_that_are_not_known(self, points: list[Point]) -> None:
        changes = Tracer(load(DECAY), self.LENGTH).changes(Trace.of(points, self.LENGTH))
        assert np.isnan(changes).tolist() == [True] * self.LENGTH + [False] * self.LENGTH

    def test_conversions_are_credited_once_all_events_before_them_that_count_are_known(
        self, tmp_path: Path, points: list[Point]
    ) -> None:
        """The one at the curve's first moment has a touch among what was cut off."""
        tracer = Tracer(load(DECAY), self.LENGTH)
        whole = tracer.credits(tracer.trace(points_of(tmp_path / "long.db", "ann")))
        found, cut = tracer.credits(tracer.trace(points)), self.EVENTS - 2 * self.LENGTH
        assert [point.event_type for point in points[self.LENGTH - 1 : self.LENGTH]] == ["CN"]
        assert list(found) == [14, 19]
        for place, credit in found.items():
            assert credit.shares.tolist() == whole[place + cut].shares.tolist()

    def test_too_few_events_have_no_curve(self, points: list[Point]) -> None:
        tracer = Tracer(load(DECAY), self.LENGTH)
        trace = tracer.trace(points[-3:])
        assert trace.exact_from is None
        assert tracer.at(trace, points[-1].event_time) is None
        assert not len(tracer.line(trace, 0, points[-1].event_time).times)

    def test_cutting_later_events_off_keeps_what_is_exact(self, points: list[Point]) -> None:
        tracer = Tracer(load(DECAY), self.LENGTH)
        trace = tracer.trace(points)
        time = points[15].event_time
        assert tracer.at(trace.until(time), time) == tracer.at(trace, time)
        assert trace.until(points[-1].event_time) is trace
        assert trace.until(points[3].event_time).exact_from is None


@pytest.mark.parametrize("look_back", [ATTRIBUTION_WINDOW, 12 * HOUR])
def test_conversions_are_credited_as_in_a_bucket(simulated: Stream, look_back: int) -> None:
    """What the page tells about a conversion is what `jobs attribute` would."""
    tracer, compared = Tracer(simulated.model, 1_000, attribution_window=look_back), 0
    for number in range(40):
        points = stored(simulated, f"user-{number:07d}")
        trace = tracer.trace(points)
        bucket = Bucket(Models(simulated.model).plan)
        sent = [Event(p.event_id, "u", p.event_time, p.event_type, campaign=p.campaign) for p in points]
        if not any(each.type == "CN" for each in sent):
            continue
        update = bucket.update(batch_of(sent), Attribution(Models(simulated.model), look_back))
        rows, conversions = update.credits.rows, update.outcomes["event_key"][update.credits.rows["outcome"]]
        for place, credit in tracer.credits(trace).items():
            mine = rows[(conversions == points[place].event_key) & (rows["type"] != BASELINE)]
            assert [points[touch].event_key for touch in credit.touches] == mine["touch_key"].tolist()
            np.testing.assert_allclose(credit.shares, mine["credit"], rtol=0, atol=1e-12)
            compared += 1
    assert compared > 1


def test_the_setting_says_how_far_back_touches_are_credited(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.send(*journey("ann", ["CL", "PS", "CN"]))
    monkeypatch.setenv("ADSTREAMS_SQLITE_PATH", str(stream.path))
    for look_back, touches in (("1d", [0, 1]), ("6h", [1])):
        monkeypatch.setenv("ADSTREAMS_LOOK_BACK", look_back)
        opened = open_shared()
        opened.feed.stop()
        opened.desk.close()
        credit = opened.feed.tracer.credits(opened.feed.tracer.trace(stored(stream, "ann")))
        assert credit[2].touches.tolist() == touches
