"""`python -m jobs simulate --brokers`: the two producers of the original system."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from schemas.avro.codec import Codec, codec, load_schema
from schemas.messages import MessageBatch
from tests.flow.running import PATIENCE, ROOT, environment, wait_for
from tests.jobs.running import complaint, jobs
from tests.services.kafka import Kafka as Server
from tests.services.ports import free_port
from tests.services.registry import Registry as RegistryServer
from topics.client import Kafka
from topics.registry import Registry
from topics.whole_topic import Read, read_topic

COUNTS = re.compile(r"(\S+): ([\d,]+) sent = ([\d,]+) events \+ ([\d,]+) repeats \+ ([\d,]+) broken")


def topic_messages(kafka: Server, topic: str) -> list[Read]:
    return [message for messages in read_topic(Kafka([kafka.brokers]), topic) for message in messages]


def counts(output: str) -> dict[str, list[int]]:
    """What the last line says of each topic: sent, events, repeats, broken."""
    told = COUNTS.findall(output.splitlines()[-1])
    return {topic: [int(number.replace(",", "")) for number in numbers] for topic, *numbers in told}


def test_all_that_is_told_was_sent(kafka: Server, topic_prefix: str) -> None:
    """Sent = events + repeats + broken: as many distinct events, second copies and dead letters are in the topics."""
    topics = [f"{topic_prefix}events", f"{topic_prefix}conversions"]
    run = jobs(
        "simulate", "--brokers", kafka.brokers, "--topics", ",".join(topics), "--partitions", 3, "--events", 20_000,
        "--users", 400, "--rate", 0, "--repeats", 0.2, "--late", 0.2, "--broken", 0.05,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    told = counts(run.stdout)
    assert list(told) == topics
    assert sum(events for _, events, _, _ in told.values()) == 20_000
    kinds = list[set[str]]()
    for topic in topics:
        messages = topic_messages(kafka, topic)
        decoded = codec().decode(MessageBatch.of(topic, 0, 0, [message.value or b"" for message in messages]))
        distinct = {event.event_id for event in decoded.events.events()}
        dead, again = len(decoded.letters), len(decoded.events) - len(distinct)
        assert told[topic] == [len(messages), len(distinct), again, dead]
        kinds.append({event.type for event in decoded.events.events()})
        homes = {(message.key, message.partition) for message in messages}
        assert len(homes) == len({key for key, _ in homes}), "a user's messages lie in one partition"
        assert {message.partition for message in messages} == {0, 1, 2}
        users = Counter(event.user_id.encode() for event in decoded.events.events())
        assert users <= Counter(message.key for message in messages)
    assert kinds == [{"IM", "CL", "PS"}, {"CN"}]


def test_with_a_registry_messages_name_their_schema_by_its_id(
    kafka: Server, registry: RegistryServer, topic_prefix: str
) -> None:
    """Each topic's schema is registered as the subject of its values; all of the broken messages are dead letters."""
    topics = [f"{topic_prefix}events", f"{topic_prefix}conversions"]
    run = jobs(
        "simulate", "--brokers", kafka.brokers, "--topics", ",".join(topics), "--events", 2_000, "--rate", 0,
        "--broken", 0.5, schema_registry_url=registry.url,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    sent, events, _, broken = counts(run.stdout)[topics[0]]
    with Registry(registry.url) as client:
        ids = {client.register(f"{topic}-value", load_schema("event")) for topic in topics}
        values = [message.value or b"" for message in topic_messages(kafka, topics[0])]
        decoded = Codec(lookup=client).decode(MessageBatch.of(topics[0], 0, 0, values))
    assert (len(values), len(decoded.events), len(decoded.letters)) == (sent, events, broken)
    assert {int.from_bytes(decoded.events.payload(row)[1:5], "big") for row in range(events)} <= ids
    reasons = {letter.reason for letter in decoded.letters}
    assert {"unframed", "unknown_schema", "undecodable", "time_range", "id_length"} <= reasons


def test_the_same_seed_sends_the_same_messages(kafka: Server, topic_prefix: str) -> None:
    """To the same partitions in the same order, whatever the rate."""
    sent = []
    for name, rate in (("a", 0), ("b", 3_000)):
        topics = f"{topic_prefix}{name},{topic_prefix}{name}-conversions"
        run = jobs(
            "simulate", "--brokers", kafka.brokers, "--topics", topics, "--events", 3_000, "--users", 100,
            "--rate", rate, "--repeats", 0.3, "--late", 0.3, "--broken", 0.1, "--seed", 11,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        messages = topic_messages(kafka, topics.split(",")[0])
        sent.append({(each.partition, each.offset): (each.key, each.value) for each in messages})
    assert sent[0] == sent[1]


@pytest.mark.parametrize("of_events", [False, True])
def test_whose_time_a_message_has(of_events: bool, kafka: Server, topic_prefix: str) -> None:
    """That of its sending, so that a topic's retention counts from then; or its event's, if asked for."""
    topic, began = f"{topic_prefix}events", time.time_ns() // 1_000_000
    flag = ["--event-times"] if of_events else []
    run = jobs(
        "simulate", "--brokers", kafka.brokers, "--topics", f"{topic},{topic_prefix}c", "--events", 500, "--rate", 0,
        "--partitions", 1, *flag,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    messages = topic_messages(kafka, topic)
    events = [codec().decode_one(message.value or b"").timestamp for message in messages]
    stamped = [message.time for message in messages]
    if of_events:
        assert stamped == events
    else:
        assert began <= min(stamped) <= max(stamped) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_endless_stream_ends_cleanly(how: signal.Signals, kafka: Server, topic_prefix: str) -> None:
    """Nothing that it says was sent is missing."""
    topics = [f"{topic_prefix}events", f"{topic_prefix}conversions"]
    command = [sys.executable, "-m", "jobs", "simulate", "--brokers", kafka.brokers, "--topics", ",".join(topics)]
    program = subprocess.Popen(
        [*command, "--rate", "2000", "--repeats", "0.5", "--late", "0.5"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    cluster = Kafka([kafka.brokers])
    wait_for(lambda: len(cluster.describe(topics)) == 2, program)
    wait_for(lambda: len(topic_messages(kafka, topics[0])) > 1_000, program)
    program.send_signal(how)
    output, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, errors
    assert "Traceback" not in errors
    told = counts(output)
    for topic in topics:
        sent, events, repeats, broken = told[topic]
        assert sent == events + repeats + broken == len(topic_messages(kafka, topic))


def test_a_topic_that_is_there_is_left_as_it_is(kafka: Server, topic_prefix: str) -> None:
    """It keeps its partitions and its messages."""
    topics = [f"{topic_prefix}events", f"{topic_prefix}conversions"]
    kafka.create_topic(topics[0], 2)
    for _ in range(2):
        run = jobs("simulate", "--brokers", kafka.brokers, "--topics", ",".join(topics), "--events", 300, "--rate", 0)
        assert run.returncode == 0, run.stderr
    described = Kafka([kafka.brokers]).describe(topics)
    assert [described[topic].partitions for topic in topics] == [2, 4]
    assert sum(len(topic_messages(kafka, topic)) for topic in topics) == 600


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--events", 5], "give either --to FILE or --brokers HOST:PORT"),
        (["--to", "a.csv", "--brokers", "localhost:1"], "give either --to FILE or --brokers HOST:PORT"),
        (["--to", "a.csv", "--rate", 5], "--rate: only with --brokers"),
        (["--to", "a.csv", "--event-times"], "--event-times: only with --brokers"),
        (["--to", "a.csv", "--events", 0], "--events"),
        (["--brokers", "localhost:1", "--topics", "one"], "--topics: must be two names"),
        (["--brokers", "localhost:1", "--start", "2090-01-01"], "--start: must not be in the future"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(arguments: list[object], word: str) -> None:
    """Exit code 2, no traceback."""
    assert word in complaint("simulate", *arguments)


def test_settings_that_kafka_does_not_take_are_told_in_one_line() -> None:
    run = jobs("simulate", "--brokers", "localhost:1", kafka_config='{"no.such": 1}')
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "ADSTREAMS_KAFKA_CONFIG" in line
    assert "no.such" in line


def test_a_missing_broker_is_told_in_one_line() -> None:
    address = f"127.0.0.1:{free_port()}"
    run = jobs("simulate", "--brokers", address)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(f"ad-streams: --brokers: no broker answers at {address}")
    assert "Traceback" not in run.stderr
