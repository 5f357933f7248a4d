"""The report of a training or an evaluation, in Chromium."""

from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, expect

from jobs.grading.grade_tables import RatioTable
from jobs.grading.measures import Scored, grade, ratios
from jobs.training.report import Reported, write_report
from tests.viz.browsing import visiting
from tests.viz.streams import DECAY, HOSTILE, load

PLACES = ("at events", "at clock times")


def scored(converting: float) -> Scored:
    """Rows that a model ranks well, of which a share is positive."""
    propensities = np.random.default_rng(5).uniform(0, 2 * converting, 2_000)
    labels = np.random.default_rng(6).uniform(size=2_000) < propensities
    return Scored(np.arange(2_000) // 2, labels, propensities)


def test_a_report_is_whole_by_itself_whatever_models_are_called(browser: Browser, tmp_path: Path) -> None:
    """No other host is asked, nothing is taken for markup or TeX, and all is drawn."""
    rows, none = scored(0.3), scored(0.0)
    reported = [Reported(name, place, rows, grade(rows)) for name in HOSTILE for place in PLACES]
    reported += [Reported("nobody converts", place, none, grade(none)) for place in PLACES]
    campaigns = [
        feature.model_copy(update={"campaign": name}) for feature in load(DECAY).features for name in HOSTILE[:2]
    ]
    models = [load(DECAY).model_copy(update={"id": name, "features": tuple(campaigns)}) for name in HOSTILE]
    segments = (np.arange(2_000) // 2 % len(HOSTILE), tuple(HOSTILE))
    by_segment = [ratios(scored(converting), *segments) for converting in (0.3, 0.0)]
    table = RatioTable("segment", "at events", [HOSTILE[0], "nobody converts"], by_segment)
    write_report(tmp_path / "report.html", HOSTILE[0], [HOSTILE[4]], reported, models, [table])
    with visiting(browser) as page:
        page.set_content((tmp_path / "report.html").read_text())
        expect(page.locator("h1")).to_have_text(HOSTILE[0])
        expect(page.locator("h1 + p")).to_have_text(HOSTILE[4])
        grades, by_part = page.locator("table").all()
        expect(grades.locator("tr")).to_have_count(1 + len(reported))
        expect(by_part.locator("tr")).to_have_count(1 + len(HOSTILE))
        expect(page.locator("h2").nth(1)).to_have_text("Observed over expected by segment, at events")
        expect(by_part.locator("td.name").first).to_have_text(HOSTILE[0])
        expect(by_part.locator("td").last).to_have_text("-")
        expect(page.locator(".figures > div")).to_have_count(2 * 4 + len(models))
        expect(grades.locator("tr").nth(1)).to_contain_text("better than the base rate")
        expect(grades.locator("tr").last).to_contain_text("not graded")
        for place in range(2 * 4 + len(models)):
            expect(page.locator(".figures canvas").nth(place)).to_be_visible()
        assert page.locator("img, mjx-container").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")  # figures follow
        box = page.locator(".table").first
        box.evaluate("box => box.scrollLeft = box.scrollWidth")
        expect(grades.locator("td.verdict").first).to_be_in_viewport(ratio=0.9)
        expect(grades.locator("td.name").first).to_be_in_viewport(ratio=0.9)
