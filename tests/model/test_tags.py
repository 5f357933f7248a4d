"""The tag of an entry: room for 16 types, and the tags of recovery directories from before there was that room."""

import numpy as np
import pytest

from model.bucket import Bucket
from model.features.plan import FeaturePlan
from model.sequences.entries import (
    GHOST,
    ITEM,
    MOST_CAMPAIGNS,
    REFUND,
    campaign_of,
    is_live_conversion,
    is_refund,
    is_sale,
    knows_types_of,
    make_tag,
    pack_tags,
    type_of,
    unpack_tags,
)
from schemas.errors import SnapshotError
from schemas.event_types import TYPES
from tests.model.driving import batch_of, event
from tests.model.worlds import MODELS

PLAN = FeaturePlan.of(MODELS["decay"].features)


def former_tag(type_, campaign, refund):
    """A tag as version 0.1.0 made it: ghost, type, refund, item, campaign: 1, 2, 1, 1, 27 bits."""
    return (type_ << 29) | (refund << 28) | campaign


@pytest.mark.parametrize("campaign", [0, 1, 1_000_003, MOST_CAMPAIGNS - 1])
@pytest.mark.parametrize("refund", [False, True])
@pytest.mark.parametrize("flag", [0, GHOST, ITEM, GHOST | ITEM])
def test_the_tags_of_version_0_1_0_are_the_same_tags_now(campaign, refund, flag):
    for type_ in range(4):
        tag = np.uint32(former_tag(type_, campaign, refund) | flag)
        assert make_tag(type_, campaign, refund) | flag == tag
        assert (type_of(tag), campaign_of(tag)) == (type_, campaign)
        assert is_live_conversion(tag) == (TYPES[type_] == "CN" and not tag & GHOST)
        assert is_sale(tag) == (is_live_conversion(tag) and not refund)


@pytest.mark.parametrize("flag", [np.uint32(0), GHOST, ITEM, REFUND])
def test_a_tag_has_room_for_16_types_beside_all_else(flag):
    """Types and campaigns do not touch each other or the flags, which are 0 in what `pack_tags` makes."""
    types, campaigns = np.divmod(np.arange(16 * 3), 3)
    campaigns = np.array([0, 1, MOST_CAMPAIGNS - 1])[campaigns]
    tags = pack_tags(types, campaigns, np.zeros(len(types), np.bool_))
    assert not (tags & (GHOST | ITEM | REFUND)).any()
    found = unpack_tags(tags | flag)
    assert [each.tolist() for each in found] == [types.tolist(), campaigns.tolist()]
    assert len(set(tags.tolist())) == len(types)
    assert knows_types_of(tags[types < len(TYPES)])
    assert not knows_types_of(tags[types <= len(TYPES)])


def test_only_a_conversion_is_a_refund():
    assert [bool(is_refund(type_, -1.0)) for type_ in range(4)] == [code == "CN" for code in TYPES]
    assert not is_refund(TYPES.index("CN"), -0.0)


def bucket_of(*campaigns):
    bucket = Bucket(PLAN)
    for number, campaign in enumerate(campaigns):
        bucket.update(batch_of([event(f"e{number}", number, campaign=campaign)]))
    return bucket


def test_more_campaigns_than_a_tag_has_room_for_are_refused(monkeypatch):
    known = len(bucket_of("a").snapshot().campaigns[0])
    monkeypatch.setattr("model.bucket.MOST_CAMPAIGNS", known + 1)
    bucket = bucket_of("a", "b", "a")
    with pytest.raises(OverflowError, match=r"campaigns in one bucket: use more buckets \(ADSTREAMS_BUCKETS\)"):
        bucket.update(batch_of([event("d", 9, campaign="d")]))
    monkeypatch.setattr("model.bucket.MOST_CAMPAIGNS", known)
    with pytest.raises(SnapshotError, match="campaigns in one bucket"):
        Bucket.restore(bucket.snapshot(), PLAN)


def test_a_snapshot_with_a_type_of_a_later_version_is_refused():
    snapshot = bucket_of("a", "b").snapshot()
    snapshot.entries["tag"][1] = np.uint32(1 << 25)  # the number 4
    with pytest.raises(SnapshotError, match="a type of event that this program does not know"):
        Bucket.restore(snapshot, PLAN)
