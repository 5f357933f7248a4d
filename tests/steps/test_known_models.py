"""What a process knows of the models: a change is taken over before the first row of it, or not at all."""

import json

import pytest

from schemas.models import FROM_THE_BEGINNING, StoredModel
from settings import SettingsError
from steps.models import KnownModels, models_at_start
from stores.sqlite import SqliteWriter
from tests.model.driving import HOUR, TIME
from tests.model.worlds import MODELS


def stored(start, name):
    return StoredModel(start, name, MODELS[name].model_dump_json())


FIRST, LATER = stored(FROM_THE_BEGINNING, "seed"), stored(TIME + HOUR, "decay")


def test_rows_before_a_models_time_do_not_keep_it_out():
    known = KnownModels(MODELS["seed"], [FIRST])
    assert known.until(TIME + HOUR - 1)[0].ids == ("seed",)
    assert known.learn([FIRST, LATER]) == []
    assert known.until(TIME + HOUR)[0].ids == ("seed", "decay")
    models, attribution = known.until(0)
    assert models.models[1].start == TIME + HOUR
    assert attribution.starts.tolist() == [TIME + HOUR]


def test_a_row_of_a_models_time_does():
    known = KnownModels(MODELS["seed"])
    known.until(TIME + HOUR)
    assert known.learn([FIRST, LATER]) == [LATER]
    assert known.until(0)[0].ids == ("seed",)


def test_so_it_is_with_a_model_that_goes():
    known = KnownModels(MODELS["seed"], [FIRST, LATER])
    known.until(TIME)
    assert known.learn([FIRST]) == []
    assert known.learn([FIRST, LATER]) == []
    known.until(TIME + 2 * HOUR)
    assert known.learn([FIRST]) == [LATER]
    assert known.until(0)[0].ids == ("seed", "decay")


def test_the_first_process_of_a_new_store_notes_its_model(tmp_path):
    writer = SqliteWriter(tmp_path / "rows.db")
    assert models_at_start(writer, MODELS["seed"], is_first=False) == []
    assert models_at_start(writer, MODELS["seed"], is_first=True) == [FIRST]
    assert models_at_start(writer, MODELS["seed"], is_first=False) == [FIRST]
    writer.close()


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (MODELS["decay"], "not model decay"),
        (MODELS["seed"].model_copy(update={"intercept": -2.5}), "not another model of that id"),
    ],
)
def test_a_store_that_began_with_another_model_is_refused(model, named, tmp_path):
    writer = SqliteWriter(tmp_path / "rows.db")
    writer.add_model(FIRST)
    for refused in (lambda: models_at_start(writer, model, True), lambda: KnownModels(model, [FIRST])):
        with pytest.raises(SettingsError) as error:
            refused()
        (line,) = str(error.value).splitlines()
        assert line.startswith("ADSTREAMS_MODEL: ")
        assert named in line
    writer.close()


def test_a_damaged_model_of_the_table_is_told_in_one_line():
    broken = StoredModel(TIME, "odd", json.dumps({"id": "odd"}))
    with pytest.raises(SettingsError, match=r"^table models of the store: model odd: intercept: Field required$"):
        KnownModels(MODELS["seed"], [FIRST, broken])
