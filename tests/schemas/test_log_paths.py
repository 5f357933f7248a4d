"""A name is a name; several files, a folder and a pattern are one log."""

from __future__ import annotations

import pytest

from schemas.errors import LogFileError
from schemas.logs.log_paths import log_paths


@pytest.fixture
def folder(tmp_path):
    for name in ("log1.csv", "log[1].csv", "a,b.csv", "what?.csv", ".hidden.csv", "_SUCCESS", "below/deep/c.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder, *given):
    return [str(path.relative_to(folder)) for path in log_paths([folder / each for each in given])]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["log[1].csv"], ["log[1].csv"]),
        (["what?.csv"], ["what?.csv"]),
        (["a,b.csv"], ["a,b.csv"]),
        (["log?.csv"], ["log1.csv"]),
        (["log*.csv"], ["log1.csv", "log[1].csv"]),
        (["log[1]*"], ["log[1].csv"]),
        (["**/*.jsonl"], ["below/deep/c.jsonl"]),
        (["log1.csv", "a,b.csv", "log1.csv"], ["a,b.csv", "log1.csv"]),
        (["."], ["a,b.csv", "log1.csv", "log[1].csv", "what?.csv"]),
    ],
)
def test_files_of_a_log(folder, given, expected):
    assert names(folder, *given) == expected


def test_names_with_commas_between_them(folder):
    first, second = folder / "log1.csv", folder / "log[1].csv"
    assert log_paths([f"{second}, {first}"]) == [first, second]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("none.csv", "no such file"),
        ("log[2].csv", "no such file"),
        ("none*.csv", "no file matches"),
        ("below", "no logs in this folder"),
        ("_SUCCESS", "a log's name ends with"),
        ("log1.csv,none.csv", "no such file"),
    ],
)
def test_what_is_no_log_is_named(folder, given, problem):
    with pytest.raises(LogFileError, match=problem):
        log_paths([folder / given])
