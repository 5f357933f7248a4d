"""A synthetic world of users, touchpoints and conversions whose true propensity is known.

`Simulator` yields the events, `Oracle` the truth about them. The package reads and writes nothing and
of the project it knows `schemas` alone.
"""

from simulator.event_columns import CL, CN, EVENT_TYPES, IM, NA, PS, Day
from simulator.history import History
from simulator.oracle import Oracle, Shares
from simulator.population import Population
from simulator.process import Simulator, State
from simulator.world import Branch, World

__all__ = [
    "CL",
    "CN",
    "EVENT_TYPES",
    "IM",
    "NA",
    "PS",
    "Branch",
    "Day",
    "History",
    "Oracle",
    "Population",
    "Shares",
    "Simulator",
    "State",
    "World",
]
