"""Run by `test_new_type.py` in a copy of the project whose table has an opened email, `EM`, in front of `PS`."""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.actions.catalogue import Actions
from model.bucket import Bucket
from model.features.plan import FeaturePlan
from model.sequences.entries import type_of
from schemas.avro.codec import VERSIONS, codec, load_schema
from schemas.event_types import BY_NUMBER, TYPES
from schemas.events import Event
from schemas.messages import MessageBatch
from stores.base import Reader
from stores.cassandra.address import CassandraAddress
from stores.cassandra.reader import CassandraReader
from stores.sqlite.reader import SqliteReader
from tests.flow.running import ROOT, query, run_flow
from tests.jobs.running import jobs
from tests.model.driving import batch_of
from tests.model.worlds import MODELS
from tests.schemas.oracle import message_of
from tests.viz.streams import DAY, HOUR, START, Stream, journey, load
from tests.viz.test_api import get
from viz.feed import Feed
from viz.page import Page
from viz.shared import Shared
from viz.store_reading import Desk
from viz.trace import Tracer

EVENTS = 6_000
ACTIONS = {
    "value": 90.0,
    "actions": [{"name": "show", "type": "IM", "cost": 0.01}, {"name": "letter", "type": "EM", "campaign": "Loyalty"}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("new-type")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """A model that gives weight to opened emails, also of one campaign."""
    document = json.loads((ROOT / "model" / "decay.json").read_text())
    for campaign in ({}, {"campaign": "Loyalty"}):
        feature = {"aggregation": "decayed_count", "type": "EM", "half_life": "7d", "weight": 0.8, **campaign}
        document["features"].append(feature)
    path = folder / "model.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def readers(folder: Path, model: Path) -> dict[str, Reader]:
    """Both stores, filled by the flow with the simulator's events and some of one instant."""
    log = folder / "log.csv"
    run = jobs("simulate", "--to", log, "--users", 200, "--events", EVENTS)
    assert run.returncode == 0, run.stderr
    with log.open() as file:
        columns = next(csv.reader(file))
    with log.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        for code in ("CN", "PS", "XX", "CL", "EM", "IM"):
            row = {"event_id": code, "user_id": "tied", "timestamp": START, "type": code, "campaign": "Loyalty"}
            writer.writerow(row | {"quantity": 0, "revenue": 0})
    address = CassandraAddress(
        (os.environ["NEW_TYPE_HOST"],), int(os.environ["NEW_TYPE_PORT"]), os.environ["NEW_TYPE_KEYSPACE"]
    )
    cluster = {
        "store": "cassandra", "cassandra_hosts": address.hosts[0], "cassandra_port": address.port,
        "cassandra_keyspace": address.keyspace,
    }  # fmt: skip
    for store in ({"sqlite_path": folder / "store.db"}, cluster):
        run = run_flow(model=model, source="file", file=log, **store)
        assert run.returncode == 0, run.stderr
        assert f"{EVENTS + 5:,} scored" in run.stderr
        assert "1 dead" in run.stderr
    return {"sqlite": SqliteReader(folder / "store.db"), "cassandra": CassandraReader(address)}


def test_the_rows_order_the_types_and_the_schemas_number_them() -> None:
    assert TYPES == ("IM", "CL", "EM", "PS", "CN")
    assert [each.code for each in BY_NUMBER] == ["IM", "CL", "PS", "CN", "EM"]
    assert VERSIONS == ("event", "event_v2", "event_v1")


def test_both_stores_hold_what_the_simulator_sent(readers: dict[str, Reader], folder: Path) -> None:
    found = dict(query(folder / "store.db", "SELECT event_type, count(*) FROM propensity_by_user GROUP BY 1"))
    assert found.keys() == set(TYPES)
    assert 0.02 < found["EM"] / sum(found.values()) < 0.5
    users = sorted(readers["sqlite"].user_ids())
    assert users == sorted(readers["cassandra"].user_ids())
    for user in users[:40]:
        assert readers["sqlite"].curve(user) == readers["cassandra"].curve(user) != []
        assert readers["sqlite"].credits(user) == readers["cassandra"].credits(user)


@pytest.mark.parametrize("store", ["sqlite", "cassandra"])
def test_events_of_one_instant_count_in_the_order_of_the_rows(readers: dict[str, Reader], store: str) -> None:
    points = readers[store].curve("tied")
    assert [(point.event_type, point.seen) for point in points] == [(code, n + 1) for n, code in enumerate(TYPES)]
    (scores,) = readers[store].scores(["tied"])
    assert [score.event_type for score in scores] == list(TYPES)
    clicked, opened = points[1].propensity, points[2].propensity
    assert opened > clicked


@pytest.mark.parametrize("store", ["sqlite", "cassandra"])
def test_opened_emails_are_credited(readers: dict[str, Reader], store: str) -> None:
    (conversion,) = readers[store].credits("tied")
    credits = {share.type: share.credit for share in conversion.shares}
    assert credits.keys() == {"IM", "CL", "EM", "PS", ""}
    assert credits["EM"] > 0.05
    assert sum(credits.values()) == pytest.approx(1.0)
    of_email = [each for each in readers[store].credit_sums() if each.type == "EM"]
    assert sum(each.conversions[0] for each in of_email) > 0.5


def test_what_was_kept_without_the_type_is_gone_on_with() -> None:
    """A bucket's snapshot of the project as it was, and then all types, give the rows of a bucket that began anew."""
    plan = FeaturePlan.of(MODELS["decay"].features)
    before, more = journey("ann", ["IM", "CL", "PS", "CN"]), journey("ann", ["EM", "CN", "PS"], START + DAY)
    more = [Event(f"more-{n}", "ann", each.timestamp, each.type) for n, each in enumerate(more)]
    restored = Bucket.restore(pickle.loads(Path(os.environ["NEW_TYPE_KEPT"]).read_bytes()), plan)
    anew = Bucket(plan)
    anew.update(batch_of(before))
    found, expected = restored.update(batch_of(more)), anew.update(batch_of(more))
    assert found.outcomes.tolist() == expected.outcomes.tolist()
    assert np.array_equal(found.features, expected.features)
    types = [TYPES[type_of(tag)] for tag in restored.snapshot().entries["tag"]]
    assert types == ["IM", "CL", "PS", "CN", "EM", "CN", "PS"]


def test_producers_of_all_versions_are_read() -> None:
    """Those of the versions before have no opened emails."""
    row: dict[str, Any] = {"event_id": "e", "user_id": "u", "timestamp": START}
    sent = [message_of(load_schema(name), row | {"type": code}) for name in VERSIONS for code in ("CL", "CN")]
    sent += [message_of(load_schema("event"), row | {"type": "EM"}), codec().encode_one(Event(**row, type="EM"))]
    decoded = codec().decode(MessageBatch.of("events", 0, 0, sent))
    assert [event.type for event in decoded.events.events()] == ["CL", "CN"] * 3 + ["EM", "EM"]
    assert not decoded.letters


def test_the_page_and_the_api_show_it(tmp_path: Path, model: Path) -> None:
    stream = Stream(tmp_path / "store.db", load(model))
    stream.send(*journey("user-7", ["IM", "EM", "EM", "CN", "EM"], gap=HOUR))

    def open_reader() -> SqliteReader:
        return SqliteReader(stream.path)

    source = Shared(Feed(open_reader, Tracer(stream.model, 1_000, Actions.model_validate(ACTIONS))), Desk(open_reader))
    source.feed.poll()
    ((status, body), (_, credit)) = get(source, "/api/users/user-7/propensity", "/api/credit")
    assert status == 200
    assert [event["event_type"] for event in body["events"]] == ["IM", "EM", "EM", "CN", "EM"]
    assert {each["name"]: each["type"] for each in body["actions"]} == {"show": "IM", "letter": "EM"}
    assert "EM" in {each["type"] for each in credit["sums"]}

    page = Page(source, "?users=user-7")
    source.feed.poll()
    page.tick()
    assert Counter(page.chart.events.data["type"]) == {"Email opened": 3, "Impression": 1, "Conversion": 1}
    marks = set(zip(page.chart.events.data["type"], page.chart.events.data["shape"], strict=True))
    assert len({shape for _, shape in marks}) == len(marks) == 3
    texts = json.dumps([page.controls.data, page.picker.data, page.insights.why.data, page.insights.credited.data])
    assert '"title": "Email opened"' in texts
    assert "Email opened, Spring" in texts
    page.receive({"toggle": "EM"})
    assert Counter(page.chart.events.data["type"]) == {"Impression": 1, "Conversion": 1}
    source.desk.close()
    source.feed.stop()
    stream.close()
