"""A flow says once where its models know none of the campaigns that come."""

from datetime import timedelta

import pytest

from schemas.avro.codec import Codec
from schemas.messages import MessageBatch
from steps.campaign_watch import ENOUGH, CampaignWatch
from steps.known_models import KnownModels
from tests.model.driving import event
from tests.model.worlds import MODELS
from tests.viz.streams import ROOT, load

DEFAULT = load(ROOT / "model" / "default.json")


def decoded(*campaigns, kind="IM"):
    codec = Codec()
    events = [event(f"e{n}", n, kind, campaign=each) for n, each in enumerate(campaigns)]
    return codec.decode(
        MessageBatch.of("events", 0, 0, [codec.encode_one(each) for each in events]), timedelta(hours=1)
    )


@pytest.mark.parametrize(
    ("model", "batches", "enough", "said"),
    [
        (DEFAULT, [["Online Display", "Instagram"]], 1, True),
        (DEFAULT, [["Online Display", "Loyalty"]], 1, False),
        (DEFAULT, [["", "NA"]], 1, False),
        (DEFAULT, [["a"] * (ENOUGH - 1)], ENOUGH, False),
        (DEFAULT, [["a"] * (ENOUGH - 1), ["b"], ["c"]], ENOUGH, True),
        (MODELS["seed"], [["a", "b"]], 1, False),
    ],
)
def test_unknown_campaigns_are_told_once(caplog, model, batches, enough, said):
    taken, watch = [], CampaignWatch(KnownModels(model), enough)
    work = watch.before(taken.append)
    for campaigns in batches:
        work(decoded(*campaigns))
    work(decoded("x", kind="CN"))
    assert len(taken) == len(batches) + 1
    lines = [line for line in caplog.messages if "does not know" in line or "knows none" in line]
    assert len(lines) == said
