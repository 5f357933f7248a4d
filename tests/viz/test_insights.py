"""What the four panels say, worked out from real stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.actions.catalogue import Actions, is_held_out
from model.actions.next_best import Option
from model.scoring.propensity import Model
from schemas.credits import RULES
from schemas.events import Event
from schemas.grades import ALL, CHALLENGER, CLOCK, EVENT, MODEL, Grade
from schemas.provenance import Provenance
from stores.answers import CreditSum
from stores.sqlite.reader import SqliteReader
from tests.viz.streams import DAY, DECAY, HOSTILE, HOUR, ROOT, SEED, START, Stream, journey, load
from viz.credited import NO_TOUCH, basis, credited
from viz.feed import Feed
from viz.graded import graded
from viz.next_move import next_move
from viz.page import Page
from viz.shared import Shared
from viz.store_reading import Desk
from viz.trace import Trace, Tracer
from viz.why import CHOICES, why
from viz.words import adding_up, percent

DEFAULT = ROOT / "model" / "default.json"
ACTIONS = Actions.from_json((ROOT / "model" / "actions.json").read_bytes())
NOW = START + 20 * DAY


@pytest.fixture(scope="module", params=[DEFAULT, DECAY, SEED], ids=["default", "decay", "seed"])
def simulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    stream = Stream(tmp_path_factory.mktemp("insights") / "store.db", load(request.param))
    stream.simulate(20 * DAY, users=60)
    stream.close()
    return stream


def traces(stream: Stream, tracer: Tracer) -> dict[str, Trace]:
    with closing(SqliteReader(stream.path)) as reader:
        return {user: tracer.trace(reader.curve(user)) for user in reader.user_ids()}


def read(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", "").rstrip("%"))


def sum_of(texts: Sequence[str]) -> float:
    return round(sum(read(text) for text in texts), 6)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30).filter(lambda parts: 0.0001 <= sum(parts) <= 0.9994))
def test_what_is_read_adds_up_and_is_rounded(parts: list[float]) -> None:
    whole = sum(parts)
    texts = adding_up(parts, whole)
    assert sum_of(texts) == read(percent(whole))
    step = 0.01 if whole < 0.09995 else 0.1
    for part, text in zip(parts, texts, strict=True):
        assert abs(read(text) - part * 100) < step + 1e-9


def explained(tracer: Tracer, trace: Trace, time: int, by: str = "touch") -> dict[str, Any]:
    explanation = tracer.explain(trace, time)
    assert explanation is not None
    return why(trace, explanation, tracer, time, by)


class TestWhy:
    @pytest.mark.parametrize("by", CHOICES)
    def test_what_is_read_adds_up_to_the_propensity(self, simulated: Stream, by: str) -> None:
        tracer, compared = Tracer(simulated.model, 1_000), 0
        for trace in traces(simulated, tracer).values():
            now = tracer.at(trace, NOW)
            assert now is not None
            facts = explained(tracer, trace, NOW, by)
            assert facts["total"] == percent(now)
            assert sum_of([row["value"] for row in facts["rows"]]) == read(percent(now))
            compared += 1
        assert compared > 50

    def test_each_bar_begins_where_the_one_before_ended(self, simulated: Stream) -> None:
        tracer = Tracer(simulated.model, 1_000)
        for trace in traces(simulated, tracer).values():
            reached = None
            for row in explained(tracer, trace, NOW)["rows"]:
                begin, end = row["start"], row["start"] + row["width"]
                assert -0.01 <= begin <= end <= 100.02
                begin, end = (end, begin) if row["less"] else (begin, end)
                assert reached is None or begin == pytest.approx(reached, abs=0.03)
                reached = end

    def test_touches_are_told_by_name_and_the_others_together(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["IM"] * 12 + ["PS"], gap=HOUR))
        tracer = Tracer(load(DEFAULT), 1_000)
        facts = explained(tracer, traces(stream, tracer)["ann"], START + 15 * HOUR)
        names = [(row["name"], row["detail"]) for row in facts["rows"]]
        assert names[:2] == [("Without any event", ""), ("Paid search, Spring", "3 hours ago")]
        alone = [name for name, _ in names].count("Impression, Spring")
        assert names[-1] == (f"{12 - alone} {'more ' if alone else ''}impressions", "")
        assert facts["rows"][0]["hint"].endswith("not an experiment")

    def test_touches_of_a_campaign_are_told_together(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["IM", "IM", "PS"]), *journey("ann2", ["IM"]))
        stream.send(Event("other", "ann", START + 16 * HOUR, "IM", campaign="Autumn"))
        tracer = Tracer(load(DEFAULT), 1_000)
        rows = explained(tracer, traces(stream, tracer)["ann"], START + 17 * HOUR, "campaign")["rows"]
        told = {row["name"]: row["detail"] for row in rows[1:]}
        assert told == {"Paid search, Spring": "once", "Impression, Spring": "2 times", "Impression, Autumn": "once"}

    def test_events_that_no_longer_count_are_left_out(self, tmp_path: Path) -> None:
        stream = Stream(tmp_path / "short.db", load(DECAY), 3)
        stream.send(*journey("ann", ["PS", "PS", "IM", "IM", "IM"]))
        tracer = Tracer(stream.model, 3)
        for by in CHOICES:
            names = [row["name"] for row in explained(tracer, traces(stream, tracer)["ann"], NOW, by)["rows"]]
            assert len(names) > 1
            assert not any("search" in name for name in names)
        stream.close()


class TestNextMove:
    def facts(self, stream: Stream, model: Model, user: str) -> dict[str, Any]:
        tracer = Tracer(model, 1_000, ACTIONS)
        trace = traces(stream, tracer)[user]
        return next_move(user, tracer.options(trace, START + DAY), model.horizon)

    def test_the_best_is_marked_and_the_others_are_in_the_order_of_their_net_value(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["CL", "PS"]))
        facts = self.facts(stream, load(DEFAULT), "ann")
        (best,) = (option for option in facts["options"] if option["best"])
        assert facts["verdict"] == f"Best now: {best['name']}"
        assert facts["good"]
        nets = [read(option["net"].replace("$", "")) for option in facts["options"]]
        assert nets == sorted(nets, reverse=True)
        assert len(facts["options"]) == 5
        assert [bid["name"] for bid in facts["bids"]] == [
            "Retargeting click", "Loyalty click", "brand search", "generic search",
        ]  # fmt: skip
        gain, interval = best["gain"].removeprefix("+"), best["interval"]
        campaign = best["name"].removesuffix(" impression")
        assert facts["sentence"] == (
            f"Users with this history plus one impression of {campaign} converted {gain} points more often "
            f"(80% interval: {interval}). Association, not proven effect: confirm with the hold-out."
        )

    def test_without_vectors_there_is_no_interval_and_without_campaigns_one_impression(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["CL", "PS"]))
        facts = self.facts(stream, load(SEED), "ann")
        assert [option["interval"] for option in facts["options"]] == [""]
        assert "plus one impression converted" in facts["sentence"]
        assert "(" not in facts["sentence"]

    def test_nothing_is_worth_it(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["IM"]))
        dear = ACTIONS.model_copy(update={"value": 1e-6})
        tracer = Tracer(load(DEFAULT), 1_000, dear)
        facts = next_move("ann", tracer.options(traces(stream, tracer)["ann"], NOW), timedelta(days=7))
        assert (facts["verdict"], facts["good"]) == ("Nothing is worth its cost now", False)

    def test_a_reached_cap_is_told(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["IM"] * 3 + ["PS"], gap=HOUR, campaign="Loyalty"))
        facts = self.facts(stream, load(DEFAULT), "ann")
        tags = {option["name"]: option["tag"] for option in facts["options"]}
        assert tags["Loyalty impression"] == "Cap reached"

    @pytest.mark.parametrize(
        ("low", "capped", "verdict", "tag"),
        [
            (0.005, True, "What is worth its cost was shown often enough", "Cap reached"),
            (-0.005, False, "Nothing is certain enough now", "Not certain"),
        ],
    )
    def test_why_nothing_is_best(self, low: float, capped: bool, verdict: str, tag: str) -> None:
        option = Option(ACTIONS.actions[0], 0.01, low, 0.02, worth=1.0, net=0.9, capped=capped, best=False)
        facts = next_move("ann", [option], timedelta(days=7))
        assert (facts["verdict"], facts["options"][0]["tag"], facts["good"]) == (verdict, tag, False)

    def test_who_is_held_out_is_left_alone(self, stream: Stream) -> None:
        user = next(name for name in (f"user-{number}" for number in range(99)) if is_held_out(name))
        stream.send(*journey(user, ["CL", "PS"]))
        facts = self.facts(stream, load(DEFAULT), user)
        assert (facts["verdict"], facts["good"]) == ("Leave alone: held out", False)
        assert not any(option["best"] or option["tag"] == "Best" for option in facts["options"])
        assert "This user is in the hold-out" in facts["hold_out"]

    def test_no_actions(self) -> None:
        facts = next_move("ann", [], timedelta(days=7))
        assert facts["note"].startswith("No actions are configured: ADSTREAMS_ACTIONS ")


class TestCredited:
    def test_shares_add_up_and_sums_are_those_of_all_conversions(self, simulated: Stream) -> None:
        tracer = Tracer(simulated.model, 1_000)
        shown = traces(simulated, tracer)
        with closing(SqliteReader(simulated.path)) as reader:
            sums = reader.credit_sums()
        facts = credited(shown, dict.fromkeys(shown, 0), tracer, sums)
        assert facts["conversions"]
        for each in facts["conversions"]:
            assert sum_of([part["value"] for part in each["parts"]]) == 100
            assert each["parts"][-1]["name"] == NO_TOUCH
        count = sum(point.event_type == "CN" for trace in shown.values() for point in trace.points)
        assert len(facts["conversions"]) + facts["more"] == count
        for rule in ("model", "last"):
            assert sum(read(row[rule]) for row in facts["sums"]) == pytest.approx(count, abs=0.05 * len(facts["sums"]))

    def test_the_newest_come_first_beside_the_last_touch(self, stream: Stream) -> None:
        stream.send(*journey("ann", ["CN"]), *journey("bob", ["PS", "IM", "CN"], START + DAY))
        tracer = Tracer(load(DEFAULT), 1_000)
        facts = credited(traces(stream, tracer), {"ann": 0, "bob": 1}, tracer, [])
        bob, ann = facts["conversions"]
        assert (bob["user"], bob["last"], bob["revenue"]) == ("bob", "Impression, Spring", "$159.50")
        assert bob["parts"][0]["name"] == "Paid search, Spring"
        assert (ann["last"], [part["value"] for part in ann["parts"]]) == (NO_TOUCH, ["100.0%"])
        assert facts["sums"] == []

    def test_sums_are_in_the_order_of_the_model(self, stream: Stream) -> None:
        """Also which of them are told by themselves, whatever the last touch gives."""
        sums = []
        for number in range(9):
            conversions = (float(number), 90.0 - number, *(1.0,) * (len(RULES) - 2))
            sums.append(CreditSum("2017-06-15", f"c{number}", "CL", conversions, conversions))
        facts = credited({}, {}, Tracer(stream.model, 5), sums)
        assert [row["model"] for row in facts["sums"]] == [
            "8.0",
            "7.0",
            "6.0",
            "5.0",
            "4.0",
            "3.0",
            "2.0",
            "1.0",
            "0.0",
        ]
        assert facts["sums"][-2]["name"] == "2 others"

    def test_it_says_which_propensity_credit_is_by(self) -> None:
        assert basis(load(DEFAULT)).startswith("Credit looks at the chance of a conversion within 1 day; the curve,")
        assert basis(load(SEED)).endswith("as the curve does.")

    @pytest.mark.parametrize(
        ("conversions", "text"), [(99_999.94, "99,999.9"), (99_999.96, "100,000"), (1_234_567.8, "1,234,568")]
    )
    def test_sums_of_many_conversions_are_whole(self, stream: Stream, conversions: float, text: str) -> None:
        shares = (conversions,) * len(RULES)
        sums = [CreditSum("2017-06-15", "Spring", "CL", shares, shares)]
        facts = credited({}, {}, Tracer(stream.model, 5), sums)
        assert (facts["sums"][0]["model"], facts["sums"][0]["last"]) == (text, text)


def grade(model_id: str, kind: str, role: str = MODEL, day: str = ALL, **measures: float) -> Grade:
    return Grade(model_id, kind, day, role, 1_000, 500, 30, START + 9 * DAY, 1, **measures)


MEASURES = {
    "auc": 0.781, "auc_low": 0.75, "auc_high": 0.81, "information": 0.12, "information_low": 0.1,
    "information_high": 0.14, "observed_over_expected": 1.0, "observed_over_expected_low": 0.9,
    "observed_over_expected_high": 1.1, "log_loss": 0.11, "base_log_loss": 0.125,
}  # fmt: skip


class TestGraded:
    def test_the_grades_of_the_file_in_words(self) -> None:
        model = load(DEFAULT)
        assert model.metrics is not None
        found = model.metrics.at_clock_times
        test, live = graded(model, [])["sets"]
        assert test["title"] == "On test users of the simulated world, who were not in its training"
        assert test["verdict"].startswith("Better than giving everybody the average")
        told = [line["text"] for line in test["lines"]]
        assert told[0] == f"Scores a user who converts above one who does not {found.auc.value * 100:.0f} times in 100."
        rate = found.positive / found.rows
        assert (
            told[1] == f"Expected {percent(rate / found.observed_over_expected.value)} to convert; {percent(rate)} did."
        )
        assert "No live grade yet" in live["note"]

    def test_a_model_without_grades_says_so(self) -> None:
        assert "has no grades" in graded(load(SEED), [])["sets"][0]["note"]

    def test_live_grades_and_a_challenger(self) -> None:
        grades = [
            grade("seed", CLOCK, **MEASURES), grade("seed", EVENT, **MEASURES | {"auc": 0.7}),
            grade("old", CLOCK, **MEASURES),
            grade("seed", CLOCK, day="2017-06-22"), grade("new", CLOCK, CHALLENGER, **MEASURES | {"auc_low": 0.4}),
        ]  # fmt: skip
        _, live, former, challenger = graded(load(SEED), grades)["sets"]
        assert former["title"] == "Model old, on this stream, until 24 Jun 00:00"
        assert live["title"] == "On this stream, until 24 Jun 00:00"
        assert [line["text"] for line in live["lines"]] == [
            "Scores a user who converts above one who does not 78 times in 100.",
            "Expected 3.00% to convert; 3.00% did.",
            "12% closer to what happened than giving everybody the average.",
            "Right after an event: 70 times in 100; expected 3.00%, 3.00% did.",
        ]
        assert live["lines"][2]["hint"] == "10% to 14%, with 95% certainty; log loss 0.1100, the average's 0.1250"
        assert challenger["title"] == "Challenger new, on this stream, until 24 Jun 00:00"
        assert challenger["verdict"] == "No better than giving everybody the average, within the error"

    def test_a_challenger_that_is_no_longer_graded_is_not_shown(self) -> None:
        former = replace(grade("former", CLOCK, CHALLENGER, **MEASURES), version=1)
        live = replace(grade("seed", EVENT, **MEASURES), version=2)
        assert [each["title"].partition(",")[0] for each in graded(load(SEED), [former, live])["sets"]] == [
            "In training", "On this stream",
        ]  # fmt: skip
        assert graded(load(SEED), [live])["sets"][1]["title"].endswith(", right after events")

    @pytest.mark.parametrize(("days", "young"), [(10, True), (29, True), (40, False)])
    def test_live_grades_of_a_young_stream_carry_a_caution(self, days: int, young: bool) -> None:
        grades = [grade("seed", CLOCK, **MEASURES)]  # until nine days after the start
        test, live = graded(load(SEED), grades, START + (9 - days) * DAY)["sets"]
        assert ("caution" in live, "caution" in test) == (young, False)

    def test_a_stream_is_as_old_as_its_first_graded_day(self) -> None:
        """Also where all users of today are new."""
        whole, today = grade("seed", CLOCK, **MEASURES), START + 8 * DAY
        for day, young in (("2017-06-01", True), ("2017-05-01", False)):
            live = graded(load(SEED), [whole, grade("seed", CLOCK, day=day)], today)["sets"][1]
            assert ("caution" in live) == young

    def test_one_label_only(self) -> None:
        _, live = graded(load(SEED), [grade("seed", CLOCK), grade("seed", EVENT)])["sets"]
        assert "nothing to compare" in live["note"]


class TestPanels:
    @pytest.fixture
    def page(self, stream: Stream, source: Shared) -> Page:
        stream.send(*journey("ann", ["IM", "CL", "PS"]), *journey("bob", ["IM", "CN"]))
        page = Page(source, "?users=ann,bob,eve")
        source.feed.poll()
        page.tick()
        return page

    def test_they_are_about_the_first_user_until_another_is_chosen(self, page: Page) -> None:
        total = {chip["user"]: chip["value"] for chip in page.chosen.data["users"]}
        assert page.insights.why.data["total"] == total["ann"]
        page.insights.receive({"about": "bob"})
        assert page.insights.why.data["total"] == total["bob"]
        assert [each["chosen"] for each in page.insights.subject.data["users"]] == [False, True, False]
        page.receive({"remove": "bob"})
        assert page.insights.why.data["total"] == total["ann"]
        page.insights.receive({"by": "campaign"})
        assert page.insights.why.data["by"] == "campaign"

    def test_a_moment_is_explained_until_somebody_asks_for_now(self, page: Page) -> None:
        """Later events are not in it, and what next stays that of now."""
        total, advice = page.insights.why.data["total"], page.insights.next_move.data
        page.insights.explain("ann", START + HOUR)
        told = page.insights.why.data
        assert [row["name"] for row in told["rows"]] == ["Without any event", "Impression, Spring"]
        assert told["moment"] == "Thu 15 Jun 2017, 01:00:00 UTC"
        assert page.insights.next_move.data == advice
        page.insights.explain("ann", START - HOUR)
        assert [row["name"] for row in page.insights.why.data["rows"]] == ["Without any event"]
        page.insights.receive({"now": True})
        assert (page.insights.why.data["total"], page.insights.why.data["moment"]) == (total, None)

    def test_a_user_who_is_not_in_the_store(self, page: Page) -> None:
        page.insights.receive({"about": "eve"})
        note = {"note": "The store has no event of “eve” yet. The panels fill with the first one."}
        assert page.insights.why.data == page.insights.next_move.data == note
        page.receive({"add": "new"})
        page.insights.receive({"about": "new"})
        assert page.insights.why.data == {"note": "Loading this user from the store."}
        for user in page.users:
            page.receive({"remove": user})
        assert page.insights.why.data == {"note": "Choose a user to see this."}

    def test_nothing_is_sent_where_nothing_changed(self, page: Page) -> None:
        sent: list[str] = []
        for part in page.insights.parts.values():
            part.param.watch(lambda event: sent.append(event.obj.kind), "data")
        page._drawn = None
        page.tick()
        assert not sent

    def test_users_whose_early_events_are_gone(self, stream: Stream) -> None:
        """The panels say so, and nothing fails."""
        stream.send(*journey("long", ["IM", "CL", "CN"] * 4, gap=HOUR))
        tracer = Tracer(stream.model, 5)
        trace = traces(stream, tracer)["long"]
        short = tracer.trace(trace.points[-3:])
        assert tracer.explain(short, NOW) is None

    @pytest.mark.parametrize(
        ("kinds", "stored", "note"),
        [
            (["IM", "CL"], 2, "The users shown have not converted yet."),
            (["IM", "CL", "CN"] * 4, 3, "Unavailable: too many events before these users' conversions are no longer"),
            (["CN"] + ["IM"] * 9, 3, "No conversion is among the newest events of the users shown."),
            (["IM", "CN"], 0, "Nothing is known of the users shown yet."),
            (["IM", "CN"], 2, ""),
        ],
    )
    def test_why_nobody_is_credited(self, stream: Stream, kinds: list[str], stored: int, note: str) -> None:
        stream.send(*journey("ann", kinds, gap=HOUR))
        tracer = Tracer(stream.model, 5)
        trace = tracer.trace(traces(stream, tracer)["ann"].points[-stored:])
        facts = credited({"ann": trace} if stored else {}, {"ann": 0}, tracer, [])
        assert facts["note"].startswith(note)
        assert bool(facts["note"]) == bool(note) == (not facts["conversions"])

    def test_a_user_who_begins_after_a_pause(self, stream: Stream, source: Shared, page: Page) -> None:
        """Their events are all stored, but later than what is shown; what was cut off is another matter."""
        page.receive({"pause": True})
        stream.send(*journey("new", ["IM", "CL"], START + 9 * DAY))
        page.receive({"add": "new"})
        page.insights.receive({"about": "new"})
        source.feed.poll()
        page.tick()
        later = "This user's first event is later than the time shown."
        assert page.insights.why.data["note"] == page.insights.next_move.data["note"] == later
        assert page.chosen.data["users"][-1]["hint"] == later
        page.receive({"pause": False})
        assert "note" not in page.insights.why.data

    @pytest.mark.parametrize("message", [{}, {"about": 7}, {"by": "magic"}, {"what": "ever"}])
    def test_messages_that_make_no_sense_change_nothing(self, page: Page, message: dict) -> None:
        asked = page.insights.asked
        page.insights.receive(message)
        assert page.insights.asked == asked

    def test_hostile_texts_can_be_seen(self, stream: Stream, source: Shared) -> None:
        stream.send(*journey(HOSTILE[2], ["PS", "CN"], campaign=HOSTILE[2]))
        page = Page(source, "")
        page.add(HOSTILE[2])
        source.feed.poll()
        page.tick()
        names = [row["name"] for row in page.insights.why.data["rows"]]
        assert "Paid search, nul␀ and \\u202eturned" in names


class TestBelief:
    """Where the grade of the live scores is worse than the base rate, nothing is advised or credited by the model."""

    @pytest.fixture
    def source(self, stream: Stream) -> Iterator[Shared]:
        def open_reader() -> SqliteReader:
            return SqliteReader(stream.path)

        shared = Shared(Feed(open_reader, Tracer(stream.model, 1_000, ACTIONS), examples=ACTIONS), Desk(open_reader))
        yield shared
        shared.desk.close()
        shared.feed.stop()

    def shown(self, stream: Stream, source: Shared, *grades: Grade) -> Page:
        stream.send(*journey("ann", ["IM", "CL", "PS", "CN", "IM"]))
        stream._writer.write_grades(grades)
        stream._writer.flush()
        page = Page(source, "?users=ann")
        for _ in range(2):
            source.feed.poll()
            source.feed._counts, source.feed._sums = type(source.feed._counts)(0.0), type(source.feed._sums)(0.0)
        page.tick()
        return page

    def test_worse_is_called_worse_and_gives_no_advice(self, stream: Stream, source: Shared) -> None:
        worse = MEASURES | {"auc_low": 0.45, "auc_high": 0.6, "information_low": -0.3, "information_high": -0.1}
        page = self.shown(stream, source, grade("decay", CLOCK, **worse))
        panels = page.insights
        why = "Model decay, on this stream: at any time worse than giving everybody the average."
        assert panels.next_move.data == {
            "verdict": "No advice: the model is not believed", "good": False, "caution": why,
        }  # fmt: skip
        assert panels.why.data["caution"] == f"Not to be relied on. {why}"
        assert panels.why.data["rows"]
        assert panels.credited.data["caution"] == f"Credit by the model is withheld. {why}"
        assert [each["parts"] for each in panels.credited.data["conversions"]] == [[]]
        assert {each["model"] for each in panels.credited.data["sums"]} == {None}
        assert panels.graded.data["sets"][1]["verdict"] == "Worse than giving everybody the average"
        conversion = next(lines for lines in page.chart.events.data["lines"] if "Revenue" in lines)
        assert "Credit by the model is withheld" in conversion
        assert "Last touch: all to Paid search Spring" in conversion

    @pytest.mark.parametrize("measures", [MEASURES, {}, MEASURES | {"auc_low": 0.0, "auc_high": 1.0}])
    def test_better_or_unknown_is_shown(self, stream: Stream, source: Shared, measures: dict[str, float]) -> None:
        panels = self.shown(stream, source, grade("decay", CLOCK, **measures)).insights
        assert panels.next_move.data["options"]
        assert not panels.why.data["caution"]
        assert panels.credited.data["conversions"][0]["parts"]
        assert "examples" in panels.next_move.data["hold_out"]

    @pytest.mark.parametrize("filled", ["file", "kafka"])
    def test_example_actions_are_not_shown_as_somebodys_own(self, stream: Stream, source: Shared, filled: str) -> None:
        stream._writer.note_provenance(Provenance(filled).to_json(), None)
        page = self.shown(stream, source)
        assert page.insights.next_move.data["note"].startswith("No actions are configured: ADSTREAMS_ACTIONS ")

    def test_a_link_opens_the_explained_user_and_moment(self, stream: Stream, source: Shared) -> None:
        stream.send(*journey("bob", ["CL", "CN"]))
        self.shown(stream, source)
        page = Page(source, f"?users=ann,bob&window=1w&about=bob&at={START + HOUR}")
        source.feed.poll()
        page.tick()
        assert page.insights.asked[0] == "bob"
        assert page.insights.why.data["moment"] == page.insights.subject.data["moment"]
        assert page.insights.why.data["moment"] == "Thu 15 Jun 2017, 01:00:00 UTC"
        assert page.insights.subject.data["now"] == "Thu 15 Jun 2017, 20:00:00 UTC"
        assert page.chosen.data["query"].endswith(f"&about=bob&at={START + HOUR}")
        page.receive({"key": "Escape"})
        assert page.insights.moment is page.insights.subject.data["now"] is None
        assert page.chosen.data["query"] == "?users=ann,bob&window=1w&about=bob"

    def test_keys_do_what_the_mouse_does(self, stream: Stream, source: Shared) -> None:
        stream.send(*journey("bob", ["CL", "CN"], START + HOUR))
        self.shown(stream, source)
        page = Page(source, "?users=ann,bob")
        source.feed.poll()
        page.tick()
        seen = []
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown", "End", "Home", "ArrowLeft"):
            page.receive({"key": key})
            assert page._cursor is not None
            seen.append((page._cursor[0], (page._cursor[1] - START) // HOUR))
        assert seen == [("ann", 0), ("ann", 5), ("ann", 10), ("ann", 5), ("bob", 6), ("bob", 6), ("bob", 1), ("bob", 1)]
        assert page.keys.data["told"].startswith("Click of bob\n")
        assert list(page.chart.cursor.data["time"]) == [START + HOUR]
        assert page.controls.data["held"]
        page.receive({"key": "Enter"})
        assert page.insights.asked == ("bob", "touch", START + HOUR)
        page.receive({"key": "Escape"})
        assert (page._cursor, page.insights.moment, page.keys.data["told"]) == (None, None, "")
        page.receive({"key": "Enter"})
        assert page.insights.moment is None
