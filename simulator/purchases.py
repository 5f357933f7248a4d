"""What is bought in a conversion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.event_columns import NA, Codes, Floats, Ints
from simulator.randomness import pick
from simulator.world import World


def purchases(
    world: World, rng: np.random.Generator, rows: Ints, count: int
) -> tuple[Codes, NDArray[np.int32], Floats]:
    """Product, quantity and revenue of `count` events, of which `rows` are conversions.

    The others have product NA, quantity 0 and revenue 0. Revenue is in dollars, to the cent: quantity ·
    list price · a factor uniform within the world's price spread.
    """
    product = np.full(count, NA, dtype=np.int8)
    quantity = np.zeros(count, dtype=np.int32)
    revenue = np.zeros(count)
    uniform = rng.random((3, len(rows)))
    product[rows] = pick(uniform[0], world.product_shares)
    quantity[rows] = 1 + pick(uniform[1], world.quantity_shares)
    factor = 1 + world.price_spread * (2 * uniform[2] - 1)
    revenue[rows] = np.round(quantity[rows] * np.array(world.product_prices)[product[rows]] * factor, 2)
    return product, quantity, revenue
