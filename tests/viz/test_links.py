import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.viz.streams import HOSTILE
from viz.links import read_query, storable, write_query

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(IDS, max_size=6, unique=True))
def test_a_choice_survives_the_address(users: list[str]) -> None:
    query = write_query(users, "1w")
    assert read_query(query) == (users, "1w")
    assert query.isascii()
    assert not set(query) & set(" <>\"'#\0\\")


def test_hostile_ids_survive_together() -> None:
    assert read_query(write_query(HOSTILE, "auto"))[0] == list(HOSTILE)


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("", None),
        ("?window=1d", None),
        ("?users=", []),
        ("?users=a,b", ["a", "b"]),
        ("users=a,,b,a", ["a", "b"]),
        ("?x=1&users=a+b,%2B", ["a b", "+"]),
        ("?users=%FF", ["\ufffd"]),
        ("?users=%", ["%"]),
    ],
)
def test_addresses_that_people_type(query: str, users: list[str] | None) -> None:
    assert read_query(query)[0] == users


def test_half_a_character_becomes_a_question_mark() -> None:
    assert storable("a\ud83d") == "a?"
