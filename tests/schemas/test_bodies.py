"""The hash that tells whether an event came again: it lies in recovery directories, so it must not change."""

import numpy as np
import pytest
import xxhash

from schemas.events import fill_hashes
from schemas.logs.columns import TextColumn, pack

TEXTS_OF_0_1_0 = (
    "event_id", "user_id", "state", "segment", "campaign", "publisher", "creative", "placement", "product",
)  # fmt: skip


def body(quantity: int = 0, revenue: float = 0.0, **texts: str) -> int:
    """The hash of an event of these values, missing elsewhere."""
    numbers = {
        "offset": np.arange(1),
        "timestamp": np.zeros(1, np.int64),
        "type": np.zeros(1, np.uint8),
        "quantity": np.array([quantity], np.int32),
        "revenue": np.array([revenue]),
    }
    batch = pack("log", 0, numbers, {name: TextColumn.of([text]) for name, text in texts.items()})
    fill_hashes(batch.rows, batch.data)
    return int(batch.rows["body"][0])


def test_bodies_are_those_that_version_0_1_0_wrote() -> None:
    """So that a recovery directory of that version takes a replayed event for a repeat."""
    assert body(event_id="e", user_id="u") == 2630415880
    full = {"state": "CA", "segment": "Older", "publisher": "pub", "product": "Shoe", "quantity": 2, "revenue": 9.5}
    assert body(**full) == 2649680585


def test_the_bodies_of_a_log_are_those_that_version_0_1_0_wrote() -> None:
    """Of 2,000 events of any texts and numbers, recorded at commit e74b553."""
    rng, count = np.random.default_rng(17), 2_000

    def texts(name: str) -> TextColumn:
        choices = [*(f"{name}-{number}" for number in range(9)), "NA", "", "é\0"]
        return TextColumn.of(choices).at(rng.integers(len(choices), size=count))

    numbers = {
        "offset": np.arange(count),
        "timestamp": rng.integers(10**12, 2 * 10**12, count),
        "type": rng.integers(0, 4, count).astype(np.uint8),
        "quantity": rng.integers(-3, 4, count).astype(np.int32),
        "revenue": rng.choice([0.0, -0.0, 9.5, -1e-300, 1e300], count),
    }
    batch = pack("log", 0, numbers, {name: texts(name) for name in TEXTS_OF_0_1_0})
    fill_hashes(batch.rows, batch.data)
    assert xxhash.xxh3_64_hexdigest(batch.rows["body"].tobytes()) == "297908957c20f60c"
    assert xxhash.xxh3_64_hexdigest(np.ascontiguousarray(batch.rows["event_key"]).tobytes()) == "a8552494b1388449"


@pytest.mark.parametrize("field", ["event_id", "user_id", "campaign", "creative", "placement"])
@pytest.mark.parametrize("text", ["", "top", "NA ", "x" * 300])
def test_fields_that_are_no_part_of_a_body(field: str, text: str) -> None:
    assert body(**{field: text}) == body()


@pytest.mark.parametrize("field", ["state", "segment", "publisher", "product"])
def test_fields_that_are_part_of_a_body(field: str) -> None:
    assert body(**{field: "top"}) != body()
