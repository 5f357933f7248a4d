"""One-time log lines about the times in a topic's messages."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import numpy as np

from schemas.avro.codec import Decoded
from schemas.time_units import NAMES

EARLY = 946_684_800_000
"""2000-01-01 in ms: earlier times are most often of another unit."""

log = logging.getLogger("adstreams")


class TimeRemarks:
    """Logs for each topic once which unit its times were read in, and that they are oddly early."""

    def __init__(self) -> None:
        self._units, self._early = set[tuple[str, int]](), set[str]()

    def remark(self, decoded: Decoded) -> None:
        """Look at a batch of messages."""
        for source, unit in sorted(decoded.units - self._units):
            log.info(
                "topic %s: times whose schema names no unit are read as %s since 1970, by their size;"
                " ADSTREAMS_TIME_UNIT decides otherwise",
                source,
                NAMES[unit],
            )
        self._units |= decoded.units
        rows = decoded.events.rows
        early = rows[rows["timestamp"] < EARLY]
        if len(early):
            for origin in np.unique(early["origin"]).tolist():
                source = decoded.events.origins[origin].source
                if source not in self._early:
                    self._early.add(source)
                    first = int(early["timestamp"][early["origin"] == origin].min())
                    log.warning(
                        "topic %s: events before 2000 (%s UTC): does the schema declare milliseconds where they are"
                        " seconds? They count as they are",
                        source,
                        datetime.fromtimestamp(first / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                    )
