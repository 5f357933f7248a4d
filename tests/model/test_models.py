"""The models of a store: which is whose, and that each scores as if it were alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.bucket import Bucket
from model.scoring.propensity import Scorer
from model.timeline import Models
from tests.model.driving import DAY, HOUR, TIME, Run, batch_of, chunks
from tests.model.worlds import MODELS, NAMES, TIMES, cuts, events, later, lengths, within


def at(time, name="rich"):
    """A model that is valid from `time` ms after TIME on."""
    return later(MODELS[name], TIME + time)


def test_the_newest_model_that_is_not_after_a_row_is_the_rows():
    first, second, third = MODELS["seed"], at(HOUR, "decay"), at(DAY)
    models = Models(first, [third, second])
    assert models.ids == ("seed", "decay", "rich")
    times = [0, TIME, TIME + HOUR - 1, TIME + HOUR, TIME + DAY - 1, TIME + DAY, TIME + 99 * DAY]
    assert models.which(np.array(times)).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert [models.at(time) for time in times] == [first, first, first, second, second, third, third]


def test_the_first_model_is_valid_from_the_beginning_whatever_its_file_says():
    assert Models(at(HOUR)).which(np.array([0, TIME + HOUR])).tolist() == [0, 0]


def test_models_share_the_columns_of_features_that_differ_in_their_weights_only():
    other = MODELS["rich"].model_copy(
        update={"features": tuple(each.model_copy(update={"weight": 0.5}) for each in MODELS["rich"].features[3:6])}
    )
    assert Models(MODELS["rich"], [later(other, TIME)]).plan.count == len(MODELS["rich"].features)
    both = Models(MODELS["seed"], [at(0, "decay")])
    assert both.plan.count == len({each.name for name in ("seed", "decay") for each in MODELS[name].features})


@given(st.lists(events, max_size=25), cuts, lengths, st.permutations(NAMES), st.tuples(*[st.sampled_from(TIMES)] * 2))
def test_every_row_has_the_bits_that_its_model_alone_would_give(world, places, length, names, starts):
    """Also where the other models come after some batches, which are scored before they are valid."""
    batches = chunks(within(world, length, length), places)
    models = Models(MODELS[names[0]], [at(start, name) for start, name in zip(starts, names[1:], strict=True)])
    alone = {name: Run(MODELS[name], length) for name in names}
    bucket = Bucket(Models(MODELS[names[0]]).plan, length)
    for number, batch in enumerate(map(batch_of, batches)):
        if number == 1:
            bucket.follow(models.plan)
        if number >= 1:
            update = bucket.update(batch)
            scores, which = models.score(update.features, update.outcomes["timestamp"])
        else:
            scores, which = Scorer(MODELS[names[0]])(bucket.update(batch).features), None
        for run in alone.values():
            run.feed(batches[number])
        for row in range(len(scores)):
            name = names[0] if which is None else models.ids[which[row]]
            assert scores[row] == alone[name].scored[-1].propensities[row]
