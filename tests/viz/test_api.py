import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from model.actions.catalogue import Actions
from schemas.errors import StoreError
from schemas.events import Event
from schemas.grades import Grade
from stores.base import Reader
from stores.sqlite.reader import SqliteReader
from stores.sqlite.writer import SqliteWriter
from tests.viz.streams import DAY, DECAY, HOSTILE, HOUR, ROOT, START, Stream, journey, load
from viz.api import ROUTES
from viz.feed import Feed
from viz.shared import Shared
from viz.store_reading import Desk
from viz.trace import Tracer


def get(source: Shared, *paths: str) -> list[tuple[int, Any]]:
    """Status and JSON of each path, asked of a real server."""

    async def ask() -> list[HTTPResponse]:
        server = HTTPServer(Application([(pattern, handler, {"source": source}) for pattern, handler in ROUTES]))
        socket, port = bind_unused_port()
        server.add_sockets([socket])
        client = AsyncHTTPClient(force_instance=True)
        try:
            return [await client.fetch(f"http://127.0.0.1:{port}{path}", raise_error=False) for path in paths]
        finally:
            client.close()
            server.stop()
            await server.close_all_connections()

    answers = asyncio.run(ask())
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
    return [(answer.code, json.loads(answer.body, parse_constant=_refuse)) for answer in answers]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture
def ann(stream: Stream, source: Shared) -> Shared:
    stream.send(*journey("ann", ["IM", "CL", "PS", "CN"]))
    source.feed.poll()
    return source


def test_one_user(ann: Shared) -> None:
    ((status, body),) = get(ann, "/api/users/ann/propensity")
    last = START + 15 * HOUR
    assert status == 200
    assert (body["user_id"], body["model_id"], body["horizon"], body["now"]) == ("ann", "decay", "7d", last)
    assert body["propensity_now"] == pytest.approx(body["events"][-1]["propensity"], abs=1e-12)
    assert [event["event_type"] for event in body["events"]] == ["IM", "CL", "PS", "CN"]
    conversion = body["events"][-1]
    assert isinstance(conversion["event_key"], str)
    assert {name: conversion[name] for name in ("product", "quantity", "revenue", "seen", "event_time")} == {
        "product": "Shoes", "quantity": 2, "revenue": 159.5, "seen": 4, "event_time": last,
    }  # fmt: skip
    curve = dict(zip(body["curve"]["times"], body["curve"]["propensities"], strict=True))
    for event in body["events"]:
        assert curve[event["event_time"]] == pytest.approx(event["propensity"], abs=1e-12)
    assert (body["truncated"], body["exact_from"]) == (False, START)


@pytest.mark.parametrize(("most", "kinds"), [(4, ["IM", "CL", "PS", "CN"]), (3, ["CL", "PS", "CN"])])
def test_more_events_than_an_answer_holds(
    ann: Shared, monkeypatch: pytest.MonkeyPatch, most: int, kinds: list[str]
) -> None:
    """The newest are told, and that there are others, where there are."""
    monkeypatch.setattr("viz.api.EVENTS", most)
    ((_, body),) = get(ann, "/api/users/ann/propensity")
    assert [event["event_type"] for event in body["events"]] == kinds
    assert body["truncated"] == (most < 4)


def test_what_to_do_now(stream: Stream) -> None:
    """By all actions, as the tracer says; of nobody who is held out it is kept that there is a best one."""
    stream.send(*journey("user-7", ["IM", "CL"]))
    actions = Actions.model_validate(
        {
            "value": 90.0,
            "actions": [
                {"name": "show", "type": "IM", "cost": 0.01, "cap": 2},
                {"name": "search", "type": "PS"},
            ],
        }
    )
    tracer, desk = Tracer(stream.model, 1_000, actions), Desk(lambda: SqliteReader(stream.path))
    ((status, body),) = get(
        Shared(Feed(lambda: SqliteReader(stream.path), tracer), desk), "/api/users/user-7/propensity"
    )
    desk.close()
    assert (status, body["best_action"], body["hold_out"]) == (200, "show", True)
    show, search = body["actions"]
    assert (show["name"], show["type"], show["cost"], show["cap"], show["capped"]) == ("show", "IM", 0.01, 2, False)
    assert show["net"] == pytest.approx(90 * show["gain"] - 0.01, abs=1e-12)
    assert (search["name"], search["net"], search["low"]) == ("search", None, None)
    assert search["worth"] == pytest.approx(90 * search["gain"], abs=1e-12)


@pytest.mark.parametrize("at", [START - 1, START, START + 7 * HOUR, START + 40 * DAY, None])
def test_what_a_propensity_is_made_of(ann: Shared, at: int | None) -> None:
    """By event and by feature, adding up to the curve at any time; later events are not in it."""
    query = "" if at is None else f"?at={at}"
    (status, body), (_, other) = get(ann, f"/api/users/ann/explanation{query}", "/api/users/ann/propensity")
    assert (status, body["user_id"], body["model_id"], body["horizon"]) == (200, "ann", "decay", "7d")
    assert body["at"] == (START + 15 * HOUR if at is None else at)
    assert [each["event_type"] for each in body["events"]] == [
        event["event_type"] for event in other["events"] if event["event_time"] <= body["at"]
    ]
    assert {each["feature"] for each in body["features"]} == {feature.name for feature in load(DECAY).features}
    for parts in (body["events"], body["features"]):
        total = body["baseline"] + sum(each["adds"] for each in parts)
        assert total == pytest.approx(body["propensity"], abs=1e-9)
    if at is None:
        assert body["propensity"] == pytest.approx(other["propensity_now"], abs=1e-12)
        assert (body["events"][1]["event_id"], body["events"][1]["campaign"]) == ("ann-1", "Spring")


def test_what_cannot_be_explained(stream: Stream, ann: Shared) -> None:
    """Nobody's propensity, one at no time, and one behind which there are events that are no longer stored."""
    path = "/api/users/ann/explanation"
    answers = get(ann, "/api/users/eve/explanation", f"{path}?at=soon", f"{path}?to=5")
    assert [(status, body.get("parameter")) for status, body in answers] == [(404, None), (400, "at"), (400, "to")]
    with closing(sqlite3.connect(stream.path)) as connection, connection:
        connection.execute("DELETE FROM propensity_by_user WHERE event_time = ?", (START,))
    for at in (START, START + 6 * HOUR):
        ((status, body),) = get(ann, f"{path}?at={at}")
        assert (status, body["at"]) == (200, at)
        assert [body[name] for name in ("propensity", "baseline", "events", "features")] == [None] * 4


@pytest.mark.parametrize(
    "query",
    [
        f"from={START + HOUR}&to={START + 11 * HOUR}",
        "from=2017-06-15T01:00:00Z&to=2017-06-15T11:00:00Z",
        "from=2017-06-15T01:00&to=2017-06-15T13:00:00%2B02:00",
        "from=2017-06-15T01:00&to=2017-06-15T13:00:00+02:00",
    ],
)
def test_a_span_of_time(ann: Shared, query: str) -> None:
    ((status, body),) = get(ann, f"/api/users/ann/propensity?{query}")
    assert status == 200
    assert [event["event_type"] for event in body["events"]] == ["CL", "PS"]
    assert body["curve"]["times"][0] == START + HOUR
    assert body["curve"]["times"][-1] == START + 11 * HOUR


def test_a_span_without_events_still_has_the_curve(ann: Shared) -> None:
    ((status, body),) = get(ann, f"/api/users/ann/propensity?from={START + HOUR}&to={START + 2 * HOUR}")
    assert (status, body["events"]) == (200, [])
    assert len(body["curve"]["times"]) > 100
    ((status, body),) = get(ann, f"/api/users/ann/propensity?from={START + 90 * DAY}")
    assert (status, body["events"], body["curve"]) == (200, [], {"times": [], "propensities": []})


@pytest.mark.parametrize("user", [*HOSTILE, "a/b", "..x", "100%", "%41"])
def test_ids_are_percent_encoded(stream: Stream, source: Shared, user: str) -> None:
    stream.send(*journey(user, ["CL"], campaign=user))
    ((status, body),) = get(source, f"/api/users/{quote(user, safe='')}/propensity")
    assert (status, body["user_id"], body["events"][0]["campaign"]) == (200, user, user)


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("/api/users/eve/propensity", 404, None),
        ("/api/users/a%FF/propensity", 400, "user_id"),
        ("/api/users/ann/propensity?from=yesterday", 400, "from"),
        ("/api/users/ann/propensity?to=", 400, "to"),
        ("/api/users/ann/propensity?to=1e3", 400, "to"),
        ("/api/users/ann/propensity?to=99999999999999999999", 400, "to"),
        ("/api/users/ann/propensity?to=1&to=2", 400, "to"),
        ("/api/users/ann/propensity?from=200000000&to=100000000", 400, "from"),
        ("/api/users/ann/propensity?from=2018", 400, "from"),
        ("/api/users/ann/propensity?from=2018-05", 400, "from"),
        ("/api/users/ann/propensity?from=20180501", 400, "from"),
        ("/api/users/ann/propensity?from=1497535380", 400, "from"),
        ("/api/users/ann/explanation?at=1497535380", 400, "at"),
        ("/api/users/ann/explanation?at=-86400", 400, "at"),
        ("/api/users/ann/explanation?at=1497535380000000", 400, "at"),
        ("/api/credit?to=999999999", 400, "to"),
        ("/api/users/ann/propensity?form=1", 400, "form"),
        ("/api/users/ann/propensity?from=%FF", 400, "from"),
        ("/api/users//propensity", 404, None),
        ("/api/nothing", 404, None),
        ("/api", 404, None),
    ],
)
def test_refusals_name_what_is_wrong(ann: Shared, path: str, status: int, parameter: str | None) -> None:
    ((answered, body),) = get(ann, path)
    assert (answered, body.get("parameter")) == (status, parameter)
    assert body["error"]


def test_credit(stream: Stream, source: Shared) -> None:
    """Of a day what campaigns and types have, and what is nobody's; days are whole."""
    assert get(source, "/api/credit") == [(200, {"sums": []})]
    stream.send(*journey("ann", ["CL", "CN"]), *journey("bob", ["CN"], start=START + 3 * DAY))
    day = START + 5 * HOUR
    (_, whole), (_, one), (status, body) = get(
        source, "/api/credit", f"/api/credit?from={day}&to={day + 1}", "/api/credit?from=x"
    )
    assert (status, body["parameter"]) == (400, "from")
    baseline, click = one["sums"]
    assert (click["day"], click["campaign"], click["type"]) == ("2017-06-15", "Spring", "CL")
    assert (baseline["day"], baseline["campaign"], baseline["type"]) == ("2017-06-15", None, None)
    assert (click["conversions"]["last"], click["revenue"]["last"]) == (1.0, 159.5)
    assert baseline["revenue"]["credit"] + click["revenue"]["credit"] == pytest.approx(159.5)
    assert [each["day"] for each in whole["sums"]] == ["2017-06-15", "2017-06-15", "2017-06-18"]
    assert whole["sums"][2]["conversions"] == dict.fromkeys(whole["sums"][2]["conversions"], 1.0)


def test_revenue_that_is_too_great_for_a_number(stream: Stream, source: Shared) -> None:
    """Each conversion's is a number, their sum is not."""
    for user in ("ann", "bob"):
        stream.send(Event(f"{user}-1", user, START, "CN", quantity=1, revenue=1.7e308))
    ((status, body),) = get(source, "/api/credit")
    assert status == 200
    (nobody,) = body["sums"]
    assert set(nobody["conversions"].values()) == {2.0}
    assert set(nobody["revenue"].values()) == {None}


def test_grades(stream: Stream, source: Shared) -> None:
    """Each with what it says, in words."""
    assert get(source, "/api/grades") == [(200, {"grades": []})]
    model = stream.model.id
    good = Grade(
        model, "event", "all", "model", 9, 5, 2, START, 1, 0.8, 0.7, 0.9, 0.1, 0.2, 0.5, 0.4, 0.6, 1.0, 0.9, 1.1
    )
    bare = Grade(model, "clock", "all", "model", 9, 5, 0, START, 1)
    beside = [Grade(name, "clock", "all", "challenger", 9, 5, 0, START, 1) for name in ("now", "former")]
    with closing(SqliteWriter(stream.path)) as writer:
        writer.write_grades([good, bare, *beside])
        writer.flush()
    ((status, body),) = get(source, "/api/grades")
    assert status == 200
    clock, event = body["grades"]
    assert (event["auc"], event["positives"], event["role"]) == (0.8, 2, "model")
    assert event["verdict"] == "better than the base rate, and calibrated within the error"
    assert (clock["auc"], clock["verdict"]) == (None, "all rows have one label so far")
    feed = Feed(source.feed.open_reader, source.feed.tracer, challenger="now")
    ((_, body),) = get(Shared(feed, source.desk), "/api/grades")
    assert [each["model_id"] for each in body["grades"]] == [model, model, "now"]


def test_health(stream: Stream, source: Shared) -> None:
    for newest in (None, START):
        ((status, body),) = get(source, "/api/health")
        assert (status, body["status"], body["newest"]) == (200, "ok", newest)
        assert [each["state"] for each in body["processes"]] == ["ended"]
        stream.send(*journey("ann", ["IM"]))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/health", {"status": "unavailable", "problem": "the disk is gone"}),
        *(
            (path, {"error": "the disk is gone"})
            for path in ("/api/users/ann/propensity", "/api/users/ann/explanation", "/api/credit", "/api/grades")
        ),
    ],
)
def test_a_store_that_cannot_be_read(
    source: Shared, caplog: pytest.LogCaptureFixture, path: str, body: dict[str, str]
) -> None:
    """Every resource says so, and no traceback is logged."""

    def broken() -> Reader:
        raise StoreError("the disk is gone")

    desk = Desk(broken)
    assert get(Shared(source.feed, desk), path) == [(503, body)]
    desk.close()
    assert not [record for record in caplog.records if record.exc_info]


WORSE = Grade(
    "decay", "clock", "all", "model", 1_000, 500, 30, START + 9 * DAY, 1, auc=0.5, auc_low=0.45, auc_high=0.55,
    log_loss=0.2, base_log_loss=0.1, information=-0.2, information_low=-0.3, information_high=-0.1,
    observed_over_expected=0.5, observed_over_expected_low=0.4, observed_over_expected_high=0.6, brier=0.1,
)  # fmt: skip


def test_a_model_that_is_graded_worse_neither_advises_nor_credits(stream: Stream, ann: Shared) -> None:
    """The other rules' credit stays, and the propensity; the answers say why."""
    ann.feed.tracer.offer(Actions.from_json((ROOT / "model" / "actions.json").read_bytes()))
    paths = ("/api/users/ann/propensity", "/api/users/ann/explanation", "/api/credit")
    one, why, credit = (body for _, body in get(ann, *paths))
    assert one["advice"]["believed"] is why["advice"]["believed"] is True
    assert "advice" not in credit
    assert one["actions"]
    assert credit["sums"][0]["conversions"]["credit"] is not None
    with closing(SqliteWriter(stream.path)) as writer:
        writer.write_grades([WORSE])
        writer.flush()
    doubted, why, credit = (body for _, body in get(ann, *paths))
    assert doubted["advice"] == why["advice"] == credit["advice"] == {
        "believed": False,
        "standing": "worse",
        "why": "Model decay, on this stream: at any time worse than the base rate.",
    }  # fmt: skip
    assert (doubted["best_action"], doubted["actions"]) == (None, [])
    assert doubted["propensity_now"] == one["propensity_now"]
    for each in credit["sums"]:
        assert each["conversions"]["credit"] is each["revenue"]["credit"] is None
        assert each["conversions"]["last"] is not None
