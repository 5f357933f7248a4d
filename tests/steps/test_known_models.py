"""What a process knows of the models: a change is taken over before the first row of it, or not at all."""

import json

import pytest

from model.actions.catalogue import Actions
from model.bucket import Bucket
from schemas.advice import NO_ACTION
from schemas.errors import SettingsError
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from steps.known_models import KnownModels, models_at_start
from steps.sequencing import sequencer
from steps.write import SharedWriter
from stores.sqlite.writer import SqliteWriter
from tests.model.driving import HOUR, TIME, batch_of, event
from tests.model.test_belief import DEFAULT, GOOD, WORSE, grade
from tests.model.worlds import MODELS
from tests.viz.streams import ROOT

FOLDER = ROOT / "model"


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
    assert attribution.vectors.starts.tolist() == [TIME + HOUR]


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


def test_all_that_comes_too_late_is_undone(tmp_path, monkeypatch):
    """And told in one line, before the flow ends."""
    writer, told = SqliteWriter(tmp_path / "rows.db"), []
    also = stored(TIME + 2 * HOUR, "rich")
    for model in (FIRST, LATER, also):
        writer.add_model(model)
    known = KnownModels(MODELS["seed"], [FIRST])
    known.until(TIME + 3 * HOUR)
    monkeypatch.setattr("steps.known_models.fail", told.append)
    known.follow(SharedWriter(lambda: writer))
    assert writer.models() == [FIRST]
    (line,) = told
    assert line.count("too late") == 2
    writer.close()


def test_what_a_resumed_bucket_has_reached_counts():
    """A late event changes the rows behind it, and these must not be of a model that is added meanwhile."""
    bucket = Bucket(KnownModels(MODELS["seed"]).until(0)[0].plan)
    bucket.update(batch_of([event("a", 3 * HOUR)]))
    known = KnownModels(MODELS["seed"], [FIRST])
    sequencer(known, 1_000)(bucket.snapshot(), batch_of([event("b", 0)]))
    assert known.learn([FIRST, LATER]) == [LATER]


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


def test_a_grade_withholds_what_a_model_recommends_and_a_better_one_gives_it_back(caplog):
    """Neither the plan changes, nor who is held out or set apart; what is withheld is said once."""
    caplog.set_level("INFO", "adstreams")
    actions = Actions.from_json((FOLDER / "actions.json").read_bytes())
    model, known = DEFAULT, KnownModels(DEFAULT, actions=actions, most=3)
    crawler = [event(f"c{number}", number, "CL", "crawler") for number in range(5)]
    batch = batch_of([*(event(f"{number}", number, "PS", f"user-{number}") for number in range(40)), *crawler])

    def advised():
        models, _ = known.until(0)
        update = Bucket(models.plan).update(batch)
        scores, which = models.score(update.features, update.outcomes["timestamp"])
        return models, models.advise(update.features, scores, which, batch, update.outcomes["user_row"])

    before, advice = advised()
    assert (advice.rows["action"] != NO_ACTION).any()
    for _ in range(2):
        known.heed([grade(model, **WORSE)])
        after, withheld = advised()
        assert (withheld.rows["action"] == NO_ACTION).all()
        assert not withheld.rows["gain"].any()
        for told in ("held_out", "set_apart"):
            assert withheld.rows[told].tolist() == advice.rows[told].tolist()
        assert withheld.rows["set_apart"].sum() == 2
        assert after.plan is before.plan
    assert sum("best_action is withheld" in line for line in caplog.messages) == 1
    known.heed([grade(model, **GOOD)])
    assert advised()[1].rows.tolist() == advice.rows.tolist()
