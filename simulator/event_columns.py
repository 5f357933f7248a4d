"""The columns in which simulated events travel."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from schemas.event_types import BY_NUMBER

EVENT_TYPES = tuple(each.code for each in BY_NUMBER)
"""The codes of the types by number: here a type is its number, which saved states may hold."""
IM, CL, PS, CN = (EVENT_TYPES.index(code) for code in ("IM", "CL", "PS", "CN"))
FURTHER = tuple(number for number in range(len(EVENT_TYPES)) if number not in (IM, CL, PS, CN))
"""The types that the world has no rules for: their events happen, and have no effect (`simulator.immigrants`)."""
NA = -1
DAY_MS = 86_400_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Kinds = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Day:
    """The events of one simulated day, in columns, sorted by (timestamp, number).

    All columns have the same length. Numbers are dense: the first event of a run is 0, and the next day
    goes on where this one ends, so a cause's row is `cause - day.number[0]` when it lies in the same day.
    Codes are positions in the vocabularies of `World`; NA (-1) stands for "NA", so that
    `np.array((*names, "NA"))[codes]` spells a column out. Slicing gives a
    `Day` of views:

    >>> from simulator import Population, Simulator, World
    >>> world = World()
    >>> day = next(Simulator(world, Population.draw(world, 100, seed=7), seed=7, start_ms=0))
    >>> day[10:12].number.tolist()
    [10, 11]
    """

    number: Ints  # unique, stable ordinal of the event in its run
    timestamp: Ints  # ms since 1970
    user: Ints  # position in the Population
    type: Kinds  # IM, CL, PS, CN or one of FURTHER
    campaign: Codes  # IM, CL: the impression's; PS: brand or generic; CN: NA; FURTHER: one of the campaigns
    publisher: Codes  # IM, CL: the impression's; else NA (creative and placement alike)
    creative: Codes
    placement: Codes
    product: Codes  # CN only
    quantity: NDArray[np.int32]  # 0 unless CN
    revenue: Floats  # dollars, 0 unless CN
    cause: Ints  # number of the event whose child this is; -1 of an impression or organic event

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, rows: slice) -> Day:
        return Day(*(getattr(self, field.name)[rows] for field in fields(self)))
