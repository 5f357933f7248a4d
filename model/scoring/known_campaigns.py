"""Which campaigns a model tells apart, and what it does not know of a log's."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from model.scoring.propensity import Model
from schemas.events import MISSING

NAMED = 3
"""Unknown campaigns that are named."""


def campaigns_of(model: Model) -> frozenset[str]:
    """The campaigns to which one of a model's vectors gives weight."""
    vectors = [model.weights, *(vector.weights for vector in model.bootstrap)]
    if model.attribution is not None:
        vectors.append(np.array(model.attribution.weights))
    weighty = np.any(np.array(vectors) != 0, axis=0)
    pairs = zip(model.features, weighty.tolist(), strict=True)
    return frozenset(feature.campaign for feature, counts in pairs if counts and feature.campaign is not None)


def unknown_campaigns(model: Model, seen: Iterable[str]) -> str:
    """One line where a model knows none of the campaigns of a log's touches, or tells none apart; else nothing."""
    found = sorted(set(seen) - {"", MISSING})
    if not found:
        return ""
    known = campaigns_of(model)
    if not known:
        return f"model {model.id} tells no campaigns apart: it goes by type and time alone"
    if not known.isdisjoint(found):
        return ""
    names = ", ".join(f"“{name}”" for name in found[:NAMED])
    what = (
        f"the one campaign of this log, {names}"
        if len(found) == 1
        else (f"none of the {len(found):,} campaigns of this log, such as {names}")
    )
    verb = "does not know" if len(found) == 1 else "knows"
    return f"model {model.id} {verb} {what}: it goes by type and time alone"
