"""Warns once where the models know none of the campaigns in the stream."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from model.scoring.known_campaigns import campaigns_of, unknown_campaigns
from schemas.avro.codec import Decoded
from schemas.event_types import IS_TOUCH
from schemas.events import TEXTS
from steps.known_models import KnownModels

ENOUGH = 100
"""Touches with a campaign after which a stream is judged."""
MOST = 10_000
"""Touches of a batch that are looked at."""
_CAMPAIGN = TEXTS.index("campaign")
_log = logging.getLogger("adstreams")

Item = TypeVar("Item")


class CampaignWatch:
    """Looks at the first touches of a stream, and warns where the models know none of their campaigns.

    Args:
        models: the models of the process.
        enough: touches to look at before the warning; for a file the first batch is enough.
    """

    def __init__(self, models: KnownModels, enough: int = ENOUGH) -> None:
        self._models, self._left, self._seen = models, enough, set[str]()

    def before(self, work: Callable[[Decoded], Item]) -> Callable[[Decoded], Item]:
        """What looks at a batch, and then does this work with it."""

        def both(decoded: Decoded) -> Item:
            if self._left > 0:
                self._look(decoded)
            return work(decoded)

        return both

    def _look(self, decoded: Decoded) -> None:
        events = decoded.events
        touches = np.flatnonzero(IS_TOUCH[events.rows["type"]])[:MOST]
        if not len(touches):
            return
        self._seen.update(events.texts(_CAMPAIGN, touches))
        self._left -= len(touches)
        if self._left > 0:
            return
        for model in self._models.until(0)[0].models:
            line = unknown_campaigns(model, self._seen) if campaigns_of(model) else ""
            if line:
                _log.warning("%s; train one on this log (jobs train) to tell them apart", line)
