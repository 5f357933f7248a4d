import pytest

from viz.stream_clock import FARTHEST, MEMORY, StreamClock


class Wall:
    """A stopwatch that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


def run(clock: StreamClock, wall: Wall, *newest: int, every: float = 1.0) -> None:
    for time in newest:
        clock.observe(time)
        wall.seconds += every
    wall.seconds -= every


def test_an_empty_store_has_no_time(wall: Wall) -> None:
    assert StreamClock(1.0, wall).now() is None


def test_before_a_speed_is_known_now_is_the_newest_event(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    run(clock, wall, 5_000)
    wall.seconds += 50
    assert clock.now() == 5_000
    assert clock.speed == 0


def test_the_first_look_says_nothing_about_the_speed(wall: Wall) -> None:
    """It is not known when what the store already held was written."""
    clock = StreamClock(1.0, wall)
    run(clock, wall, 0, 90 * 60_000)
    wall.seconds += 1
    assert clock.now() == 90 * 60_000


def test_now_moves_on_between_polls_as_the_stream_moves(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    run(clock, wall, 0, 60_000, 120_000, 180_000)
    wall.seconds += 0.25
    assert clock.now() == 195_000
    assert clock.speed == 60_000


def test_now_stops_when_the_stream_stops(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    run(clock, wall, 0, 60_000, 120_000)
    wall.seconds += 2
    stopped = clock.now()
    assert stopped == 120_000 + 2 * 60_000
    for _ in range(20):
        clock.observe(120_000)
        wall.seconds += 10
    assert clock.now() == stopped
    assert clock.speed == 0


def test_a_log_read_at_full_speed_does_not_carry_now_far_away(wall: Wall) -> None:
    year = 365 * 86_400_000
    clock = StreamClock(1.0, wall)
    run(clock, wall, 0, year, 2 * year)
    wall.seconds += 60
    assert clock.now() == 2 * year + FARTHEST


def test_now_never_goes_back(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    shown: list[int] = []
    for newest in (0, 60_000, 120_000, 125_000, 130_000, 130_000, 200_000):
        clock.observe(newest)
        for _ in range(4):
            shown.append(clock.now() or 0)
            wall.seconds += 0.25
    assert shown == sorted(shown)
    assert shown[-1] >= 200_000


def test_the_speed_forgets_what_was_long_ago(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    run(clock, wall, *range(0, 10_000, 1_000))
    wall.seconds += 1
    run(clock, wall, *range(70_000, 70_000 + 60_000 * 40, 60_000))
    assert MEMORY < 40
    assert clock.speed == pytest.approx(60_000)


def test_a_store_that_was_emptied_starts_over(wall: Wall) -> None:
    clock = StreamClock(1.0, wall)
    run(clock, wall, 10**12, 10**12 + 5)
    clock.observe(None)
    assert clock.now() is None
    clock.observe(7)
    assert clock.now() == 7
