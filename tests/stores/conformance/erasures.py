"""What every store promises of a person who was erased."""

from schemas.dead_letters import DeadLetter
from schemas.erasures import Erasure
from tests.stores.rows import TIME, event, latest, point, scored

OLD, NEW = event("old", 0), event("new", 1_000)


def versioned(of, seen):
    return scored(of, version=of.timestamp * 1000 + seen, seen=seen)


class ErasureConformance:
    """A user who was erased is gone for ever."""

    def test_rows_up_to_then_go_and_later_ones_stay(self, store):
        writer = store.writer()
        for row in (versioned(OLD, 1), versioned(NEW, 2), versioned(event("e", 0, user="other"), 1)):
            writer.write(row)
        writer.flush()
        writer.erase([Erasure.of("u", TIME + 999)])
        writer.flush()
        reader = store.reader()
        assert reader.curve("u") == [point(NEW, seen=2)]
        assert reader.latest(["u"]) == [latest(NEW, seen=2)]
        assert reader.version("u") == NEW.timestamp * 1000 + 2
        assert len(reader.curve("other")) == len(reader.latest(["other"])) == 1

    def test_rows_that_wait_to_be_written_go_too(self, store):
        writer = store.writer()
        writer.write(versioned(OLD, 1))
        writer.erase([Erasure.of("u", TIME)])
        writer.write(versioned(NEW, 1))
        writer.flush()
        reader = store.reader()
        assert reader.curve("u") == [point(NEW)]
        assert reader.latest(["u"]) == [latest(NEW)]

    def test_all_of_a_user_goes(self, store):
        writer = store.writer()
        writer.write(versioned(OLD, 1))
        writer.write(versioned(NEW, 2))
        writer.flush()
        writer.erase([Erasure.of("u", TIME + 1_001)])
        writer.flush()
        reader = store.reader()
        assert reader.curve("u") == reader.latest(["u"]) == []
        assert reader.version("u") is None
        assert reader.summary().users == 0
        assert reader.search("", 5) == []

    def test_the_latest_time_of_a_user_is_noted(self, store):
        writer = store.writer()
        assert writer.erasures() == []
        user, other = Erasure.of("u", TIME), Erasure.of("user-17", 5)
        writer.erase([user, other])
        writer.erase([Erasure(user.user_hash, TIME - 1), Erasure(other.user_hash, 7)])
        writer.flush()
        assert sorted((each.user_hash, each.until) for each in store.writer().erasures()) == sorted(
            [(user.user_hash, TIME), (other.user_hash, 7)]
        )
        assert store.writer().erasures()[0].user_id is None

    def test_every_dead_letter_can_be_looked_at(self, store):
        letters = [DeadLetter("events", 0, offset, "unframed", "", b"%d" % offset) for offset in range(250)]
        writer = store.writer()
        writer.write_dead_letters(letters)
        writer.flush()
        assert sorted(store.reader().each_dead_letter(), key=lambda each: each.place) == letters

    def test_rows_that_another_program_holds_do_not_come_back(self, store):
        """A flow that has not heard of it yet writes what it has; with an event of then it goes on."""
        flow, job = store.writer(), store.writer()
        flow.write(versioned(OLD, 1))
        flow.write(versioned(event("other", 0, user="other"), 1))
        job.erase([Erasure.of("u", TIME + 500)])
        job.flush()
        flow.write(versioned(event("late", 1), 2))
        flow.flush()
        reader = store.reader()
        assert reader.curve("u") == reader.latest(["u"]) == []
        assert len(reader.curve("other")) == 1
        flow.write(versioned(NEW, 1))
        flow.flush()
        assert reader.curve("u") == [point(NEW)]
        assert reader.latest(["u"]) == [latest(NEW)]
