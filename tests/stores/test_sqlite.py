"""What only the embedded store promises: one file, many processes, plain errors."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.dead_letters import DeadLetter
from schemas.errors import StoreError
from stores.sqlite.database import connect
from stores.sqlite.reader import _SUMS, SqliteReader
from stores.sqlite.statements import ERASED
from stores.sqlite.writer import SqliteWriter
from tests.flow.running import query
from tests.model.driving import Run
from tests.model.worlds import MODELS
from tests.stores.conformance.suite import StoreConformance
from tests.stores.rows import TIME, event, point, scored

ROOT = Path(__file__).parent.parent.parent
OPENERS = [SqliteWriter, SqliteReader]


class TestSqlite(StoreConformance):
    @pytest.fixture
    def store(self, embedded):
        return embedded


@pytest.mark.parametrize("opener", OPENERS)
def test_a_missing_folder_is_one_plain_line(tmp_path, opener):
    path = tmp_path / "missing" / "rows.db"
    with pytest.raises(StoreError) as error:
        opener(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("content", [b"not a database at all, but long enough to have a header" * 40, b"short"])
def test_a_file_that_is_not_a_database_is_one_plain_line_and_stays_as_it_is(tmp_path, opener, content):
    path = tmp_path / "rows.db"
    path.write_bytes(content)
    with pytest.raises(StoreError) as error:
        opener(path)
    assert str(path) in str(error.value)
    assert "not a database" in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("opener", OPENERS)
def test_a_folder_in_place_of_the_file_is_one_plain_line(tmp_path, opener):
    with pytest.raises(StoreError) as error:
        opener(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("opener", OPENERS)
def test_opening_makes_the_file_and_leaves_nothing_else(tmp_path, opener):
    opener(tmp_path / "rows 'é?#%.db").close()
    assert [each.name for each in tmp_path.iterdir()] == ["rows 'é?#%.db"]


def test_it_is_read_while_another_process_is_in_the_middle_of_a_write(tmp_path):
    """WAL: the reader answers at once, from before the write."""
    path = tmp_path / "rows.db"
    writer, reader = SqliteWriter(path), SqliteReader(path)
    writer.write(scored(event()))
    writer.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM propensity_by_user")
    assert reader.curve("u") == [point(event())]
    assert reader.summary().users == 1
    other.execute("ROLLBACK")
    for each in (other, writer, reader):
        each.close()


WRITE = """
import sys
from pathlib import Path
from stores.sqlite.writer import SqliteWriter
from tests.stores.conformance.suite import StoreConformance
from tests.stores.rows import event, scored

first, path = int(sys.argv[1]), Path(sys.argv[2])
shared = [event(f"e{number}", number) for number in range(20)]
own = [event(f"e{number}", number, user=f"own-{first}") for number in range(20)]
writer = SqliteWriter(path)
for version in range(first, 120, 2):
    writer.write(scored(*shared, *own, version=version, propensity=version / 1000, seen=version))
    writer.flush()
writer.close()
"""


def test_two_processes_write_one_file(tmp_path):
    """They start on a file that is not there yet, take turns, and a row's greatest version stays."""
    path = tmp_path / "rows.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(first), str(path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for first in (0, 1)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    reader = SqliteReader(path)
    assert {each.seen for each in reader.curve("u")} == {119}
    assert {each.propensity for each in reader.curve("u")} == {0.119}
    assert [len(reader.curve(user)) for user in ("u", "own-0", "own-1")] == [20, 20, 20]
    assert reader.summary().newest == TIME + 19
    reader.close()


def test_a_write_that_cannot_be_made_is_one_plain_line(tmp_path):
    path = tmp_path / "rows.db"
    writer = SqliteWriter(path)
    other = sqlite3.connect(path)
    other.execute("DROP TABLE propensity_by_user")
    other.close()
    writer.write(scored(event()))
    with pytest.raises(StoreError) as error:
        writer.flush()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    writer.close()


def test_a_write_that_failed_leaves_nothing_behind_and_can_be_tried_again(tmp_path):
    """Neither rows nor a lock: other processes write on."""
    path = tmp_path / "rows.db"
    writer, reader = SqliteWriter(path), SqliteReader(path)
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("ALTER TABLE latest_propensity RENAME TO away")
    writer.write(scored(event()))
    with pytest.raises(StoreError):
        writer.flush()
    other.execute("ALTER TABLE away RENAME TO latest_propensity")
    assert reader.curve("u") == []
    writer.flush()
    assert reader.curve("u") == [point(event())]
    for each in (other, writer, reader):
        each.close()


def test_a_damaged_page_behind_the_first_rows_is_one_plain_line(tmp_path):
    path = tmp_path / "rows.db"
    with contextlib.closing(SqliteWriter(path)) as writer:
        letters = [DeadLetter("events", 0, number, "unframed", "", b"%0900d" % number) for number in range(200)]
        writer.write_dead_letters(letters)
        writer.flush()
    content = bytearray(path.read_bytes())
    page = content.index(letters[-1].payload) // 4_096 * 4_096
    content[page : page + 4_096] = b"\xff" * 4_096
    path.write_bytes(content)
    with contextlib.closing(SqliteReader(path)) as reader:
        assert next(iter(reader.each_dead_letter())) == letters[0]
        for ask in (lambda: reader.dead_letters(200), lambda: list(reader.each_dead_letter())):
            with pytest.raises(StoreError) as error:
                ask()
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)


def test_a_file_that_was_removed_is_not_made_again_by_who_asks_beside(tmp_path):
    path = tmp_path / "rows ?#%.db"
    with contextlib.closing(SqliteWriter(path)) as writer:
        assert writer.erasures() == []
        path.unlink()
        with pytest.raises(StoreError) as error:
            writer.models()
        assert str(path) in str(error.value)
        assert not path.exists()


def test_an_empty_file_becomes_a_store_of_its_own(tmp_path):
    names = set()
    for path in (tmp_path / "one.db", tmp_path / "other.db"):
        path.touch()
        for _ in range(2):
            with contextlib.closing(SqliteWriter(path)) as writer:
                names.add(writer.store_id)
    assert len(names) == 2
    assert all(names)


def test_a_flush_does_not_read_the_erasures_of_others(tmp_path):
    """Looked up by key: in a file with very many of them each write would wait for a look at all."""
    with contextlib.closing(connect(tmp_path / "rows.db")) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {ERASED}", ("[1]",))]
    assert plan[0] == "SEARCH erasures USING PRIMARY KEY (user_hash=?)"


def test_the_file_is_in_wal_mode(tmp_path):
    SqliteWriter(tmp_path / "rows.db").close()
    connection = sqlite3.connect(tmp_path / "rows.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_view_sums_credit_by_day_campaign_and_type(tmp_path):
    """Whatever was written before: a conversion's touches are replaced by those of a version that is not smaller."""
    path = tmp_path / "rows.db"
    with contextlib.closing(SqliteWriter(path)) as writer:
        click = event("click", 0, "CL", campaign="Spring")
        bought = event("bought", 10, "CN", revenue=8.0)
        run = Run(MODELS["seed"], 5).feed([click, bought], [event("late", 5, campaign="Autumn")])
        for rows in (*run.scored, run.scored[0]):
            writer.write(rows)
            writer.flush()
    with contextlib.closing(SqliteReader(path)) as reader:
        assert [
            (each.day, each.campaign, each.type, *each.conversions, *each.revenue) for each in reader.credit_sums()
        ] == query(path, "SELECT * FROM credit_by_day ORDER BY day, campaign, type")
    sums = "SELECT day, campaign, type, first, first_revenue, linear_revenue FROM credit_by_day ORDER BY type"
    assert query(path, sums) == [
        ("2017-07-14", "", "", 0.0, 0.0, 0.0),
        ("2017-07-14", "Spring", "CL", 1.0, 8.0, 4.0),
        ("2017-07-14", "Autumn", "IM", 0.0, 0.0, 4.0),
    ]
    assert query(path, "SELECT sum(credit), sum(credit_revenue) FROM credit_by_day") == [
        (pytest.approx(1), pytest.approx(8))
    ]


def test_sums_of_a_few_days_do_not_read_all_credit(tmp_path):
    """Also in a file that was made before there was an index."""
    path = tmp_path / "rows.db"
    connect(path).close()
    with contextlib.closing(sqlite3.connect(path)) as before, before:
        before.execute("DROP INDEX credit_by_order")
    with contextlib.closing(connect(path)) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {_SUMS}", (TIME, TIME))]
    assert [step for step in plan if "SCAN" in step] == ["SCAN credited"]
    key = "USING PRIMARY KEY (user_id=? AND event_time=? AND event_key=?)"
    for table, found in (
        ("conversion_credit", "USING INDEX credit_by_order (order_time>? AND order_time<?)"),
        ("propensity_by_user", key),
        ("touch", key),
    ):
        assert f"SEARCH {table} {found}" in plan
