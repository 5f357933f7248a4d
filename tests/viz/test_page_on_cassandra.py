"""The same page, unchanged, over Cassandra, which the dataflow fills from Kafka."""

from __future__ import annotations

import signal
from pathlib import Path

from playwright.sync_api import Browser, expect

from schemas.events import Event
from tests.flow.running import PATIENCE, make_recovery, processes, wait_for
from tests.flow.streaming import Stream
from tests.services.cassandra import Cassandra
from tests.services.kafka import Kafka
from tests.viz.browsing import served, settled, visiting
from tests.viz.streams import HOUR, START, journey
from viz.links import write_query


def test_an_event_sent_to_kafka_appears_on_the_page(
    browser: Browser, kafka: Kafka, cassandra: Cassandra, keyspace: str, tmp_path: Path
) -> None:
    """Curves from the table, lists and search from its view of all users, and a new event without a reload."""
    stream = Stream(kafka.brokers).make()
    for user in ("ann", "anna", "bob"):
        stream.send(*journey(user, ["IM", "CL", "IM", "PS", "CN"], START, 9 * HOUR))
    store = {
        "store": "cassandra", "cassandra_hosts": cassandra.host, "cassandra_port": str(cassandra.port),
        "cassandra_keyspace": keyspace,
    }  # fmt: skip
    named = {f"ADSTREAMS_{name.upper()}": value for name, value in store.items()}
    with processes(1, make_recovery(tmp_path / "recovery"), **stream.settings, **store) as (flow,):
        wait_for(stream.is_read, flow)
        with served(None, **named) as address, visiting(browser) as page:
            page.goto(f"{address}/app{write_query(['anna'], 'auto')}")
            settled(page, lambda drawn: len(drawn["Click"]) == 1 and len(drawn["curve"]) > 100)
            stream.send(Event("new", "anna", START + 40 * HOUR, "CL", campaign="Spring"))
            settled(page, lambda drawn: len(drawn["Click"]) == 2)
            box = page.get_by_label("Find a user by id")
            box.press_sequentially("an")
            expect(page.locator(".found button")).to_have_text(["ann", "anna"])
            expect(page.locator(".lists .row .name").first).to_be_visible()
        flow.send_signal(signal.SIGTERM)
        _, errors = flow.communicate(timeout=PATIENCE)
        assert flow.returncode == 0, errors
