"""The users of a simulated world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.event_columns import Floats, Kinds
from simulator.randomness import Purpose, generator, pick
from simulator.world import World


@dataclass(frozen=True, eq=False)
class Population:
    """Users in columns of equal length.

    Segment and state are seen; activity and intent are hidden. `segment` and `state` are positions in the
    world's vocabularies; `activity` is a and `intent` is z themselves.
    """

    segment: Kinds
    state: Kinds
    activity: Floats
    intent: Floats

    def __len__(self) -> int:
        return len(self.segment)

    @classmethod
    def draw(cls, world: World, count: int, seed: int) -> Population:
        """`count` independent users of a seed.

        The first users of a larger population of the same seed are the same users. A count below 1 raises
        ValueError.

        >>> small, large = (Population.draw(World(), count, seed=7) for count in (10, 1000))
        >>> bool((large.intent[:10] == small.intent).all())
        True
        """
        if count < 1:
            raise ValueError(f"count: expected at least 1 user, got {count}")
        # One row a user, so that a user's draws do not depend on how many follow.
        uniform = generator(seed, 0, Purpose.POPULATION).random((count, 4)).T
        return cls(
            segment=pick(uniform[0], world.segment_shares).astype(np.uint8),
            state=(uniform[1] * len(world.states)).astype(np.uint8),
            activity=np.array(world.activities)[pick(uniform[2], world.activity_shares)],
            intent=np.array(world.intents)[pick(uniform[3], world.intent_shares)],
        )
