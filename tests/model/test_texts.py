"""A table of texts is like a dict from text to the number of its first coming."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from model.sequences.texts import Texts, intern_text, is_greater_text

HASHES = [lambda text: 0, lambda text: len(text), lambda text: xxh3(text) & 0xF, lambda text: 2**64 - 1]
texts = st.lists(st.one_of(st.text("ab\0é😀", max_size=4), st.text(max_size=6)), max_size=60)


def interned(table, drawn):
    """The table after taking all the texts, and the number that each got; room is made for one at a time."""
    numbers = []
    for text in drawn:
        data = np.frombuffer(b"<" + text.encode() + b">", np.uint8)
        table = table.with_room(1, len(data))
        numbers.append(int(intern_text(table, data, 1, len(data) - 1, np.uint64(xxh3(text)))))
    return table, numbers


def xxh3(text):
    return xxh3_64_intdigest(text.encode())


def assert_is_dict(table, drawn, numbers):
    known = {}
    assert numbers == [known.setdefault(text, len(known)) for text in drawn]
    assert len(table) == len(known)
    assert [table.text(number) for number in range(len(table))] == list(known)


@given(texts)
def test_a_text_has_the_number_of_its_first_coming(drawn):
    table, numbers = interned(Texts.empty(), drawn)
    assert_is_dict(table, drawn, numbers)


@given(texts, st.sampled_from(HASHES))
def test_texts_whose_hashes_are_equal_are_told_apart(drawn, hash_of):
    """Prefixes of each other, the empty text and texts of one length fall into one cell after another."""
    table, numbers = Texts.empty(), []
    known = {}
    for text in drawn[:11]:  # the hash is made anew when a table grows, so this one must not
        data = np.frombuffer(text.encode(), np.uint8)
        table = Texts(table.cells, *table.with_room(1, len(data))[1:])
        numbers.append(int(intern_text(table, data, 0, len(data), np.uint64(hash_of(text)))))
        known.setdefault(text, len(known))
    assert numbers == [known[text] for text in drawn[:11]]
    assert [table.text(number) for number in range(len(table))] == list(known)


@given(texts, texts)
def test_a_table_is_kept_and_taken_up_again(drawn, later):
    table, numbers = interned(Texts.empty(), drawn)
    table, more = interned(Texts.of(*table.kept()), later)
    assert_is_dict(table, drawn + later, numbers + more)


@given(texts.filter(len))
def test_texts_are_ordered_as_their_texts(drawn):
    table, numbers = interned(Texts.empty(), drawn)
    for left, one in zip(drawn, numbers, strict=True):
        for right, other in zip(drawn, numbers, strict=True):
            assert is_greater_text(table, one, other) == (left.encode() > right.encode())


def test_memory_of_a_table_is_in_proportion_to_its_texts():
    drawn = [f"user-{number % 3_000}" for number in range(5_000)]
    table, numbers = interned(Texts.empty(), drawn)
    assert_is_dict(table, drawn, numbers)
    assert table.data.nbytes < 2 * sum(map(len, set(drawn))) + 100


def test_more_text_than_a_number_can_point_into_is_refused_also_where_there_is_room(monkeypatch):
    table, _ = interned(Texts.empty(), ["one"])
    assert table.with_room(1, 20) is table
    monkeypatch.setattr("model.sequences.texts._MOST_BYTES", 22)
    with pytest.raises(OverflowError, match="ADSTREAMS_BUCKETS"):
        table.with_room(1, 20)
