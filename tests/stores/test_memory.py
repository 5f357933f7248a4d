"""The in-memory store, and what is registered: a third store keeps the same promises."""

from pathlib import Path

import pytest

from schemas.errors import SettingsError
from settings import Settings
from stores import store_registry
from stores.memory import MemoryStore
from stores.store_registry import STORES, StoreKind, reader_of, writer_of
from tests.stores.conformance.suite import StoreConformance
from tests.stores.rows import event, point, scored


class TestMemory(StoreConformance):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class Named:
    """Settings that name any store."""

    def __init__(self, store: str) -> None:
        self._settings, self.store = Settings(), store

    def __getattr__(self, name: str) -> object:
        return getattr(self._settings, name)


@pytest.mark.parametrize("opener", [writer_of, reader_of])
def test_an_unknown_store_is_refused_in_one_line_that_names_the_setting(opener):
    with pytest.raises(SettingsError) as error:
        opener(Named("postgres"))
    assert str(error.value) == "ADSTREAMS_STORE: unknown store 'postgres'; choose one of sqlite, cassandra"


def test_a_store_is_registered_by_one_entry(monkeypatch):
    held = MemoryStore()
    kind = StoreKind("ADSTREAMS_STORE", "memory", lambda _: "memory", lambda *_: held.writer(), lambda _: held.reader())
    monkeypatch.setitem(STORES, "memory", kind)
    writer_of(Named("memory"))().write(scored(event()))
    assert reader_of(Named("memory"))().curve("u") == [point(event())]


def test_every_store_of_the_setting_is_registered():
    assert {each.value for each in type(Settings().store)} == store_registry.STORES.keys()


def test_the_in_memory_store_is_small():
    """A store is small to write: what all of them share is written once."""
    assert len((Path(__file__).parents[2] / "stores" / "memory.py").read_text().splitlines()) < 400
