"""The files of a recovery directory."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from settings import Settings, SettingsError
from steps.recovery import PAGE_BYTES, check_recovery, widen_pages
from tests.flow.running import make_recovery
from topics.client import Topic


def pragma(part, name):
    with closing(sqlite3.connect(part)) as file:
        return file.execute(f"PRAGMA {name}").fetchone()[0]


def test_new_files_get_large_pages_and_lose_nothing(tmp_path):
    directory = make_recovery(tmp_path / "recovery")
    parts = sorted(directory.glob("part-*.sqlite3"))
    assert [pragma(part, "page_size") for part in parts] == [4096, 4096]
    with closing(sqlite3.connect(parts[0])) as file:
        before = list(file.iterdump())
    widen_pages(directory, [])
    assert [pragma(part, "page_size") for part in parts] == [PAGE_BYTES, PAGE_BYTES]
    assert {pragma(part, "journal_mode") for part in parts} == {"wal"}
    with closing(sqlite3.connect(parts[0])) as file:
        assert list(file.iterdump()) == before


def test_files_that_somebody_uses_stay_as_they_are(tmp_path):
    directory = make_recovery(tmp_path / "recovery")
    part = directory / "part-0.sqlite3"
    with closing(sqlite3.connect(part, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        widen_pages(directory, [])
    assert pragma(part, "page_size") == 4096


def test_a_partition_that_vanished_is_told(tmp_path):
    check_recovery(tmp_path, Settings(), "store", {"events": Topic("events", "id", 4)})
    told = f"topic events: recovery directory {tmp_path} reads 4 partitions, but it has 3"
    with pytest.raises(SettingsError, match=re.escape(told)):
        check_recovery(tmp_path, Settings(), "store", {"events": Topic("events", "id", 3)})
