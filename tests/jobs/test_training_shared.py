"""Models of somebody else's logs, each graded on users that it never saw."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.training import CLICKSTREAM, TOUCHPOINTS, shared
from tests.flow.running import data_file
from tests.jobs.running import jobs

DAY = timedelta(days=1)


def test_a_shops_pages_tell_who_buys_within_a_day() -> None:
    """With the page as the campaign: at events, and at clock times as many orders as were said."""
    _, events, clock = shared(data_file("clickstream.csv.gz").name, CLICKSTREAM.format("creative"), DAY)
    assert events is not None
    assert clock is not None
    assert events.auc.value >= 0.70
    assert events.auc.low > 0.6
    assert 0.8 <= clock.observed_over_expected.value <= 1.25


def test_where_touchpoints_lead_to_nothing_the_report_says_so(tmp_path) -> None:
    """The conversions of this log do not depend on its touchpoints."""
    log, model = tmp_path / "touchpoints.parquet", tmp_path / "touchpoints.json"
    run = jobs("import", data_file("touchpoints.csv.gz"), "--sql", TOUCHPOINTS, "--to", log)
    assert run.returncode == 0, run.stderr
    run = jobs("train", log, "--horizon", "1d", "--to", model)
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()[-2]
    at_events, at_clock_times = said.split("; ")
    assert at_events.startswith(("at events no better than the base rate", "at events worse than the base rate"))
    assert at_clock_times.startswith("at clock times ")
    assert at_clock_times.endswith(("no better than the base rate, within the error", "worse than the base rate"))
    assert said in model.with_suffix(".html").read_text()
