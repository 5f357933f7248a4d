"""The report of models on one page of HTML, drawn with Bokeh; no other file and no server is needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource
from bokeh.models.ui import UIElement
from bokeh.models.widgets import DataTable, Div, TableColumn
from bokeh.palettes import Category10_10
from bokeh.plotting import figure
from bokeh.resources import INLINE
from sklearn.metrics import precision_recall_curve, roc_curve

from jobs.training.grading import Scored, grade, verdict
from jobs.training.tables import MEASURES, interval
from model.durations import to_milliseconds, write_duration
from model.features import Count, DecayedCount
from model.propensity import Model

BINS = 10
POINTS = 400
"""Points of a curve at the most."""


@dataclass(frozen=True, eq=False)
class Reported:
    """A model's rows, at events or at clock times."""

    name: str
    place: str
    scored: Scored


def write_report(
    to: Path, title: str, facts: Sequence[str], reported: Sequence[Reported], models: Sequence[Model]
) -> None:
    """Write the page: facts in words, a table of grades, curves for each place, and the models' weights.

    Raises:
        OSError: the file cannot be written.
    """
    parts: list[UIElement] = [Div(text=f"<h1>{escape(title)}</h1>")]
    parts += [Div(text=f"<p>{escape(fact)}</p>", width=1200) for fact in facts]
    parts.append(grades_table(reported))
    for place in dict.fromkeys(each.place for each in reported):
        own = [
            each for each in reported if each.place == place and 0 < each.scored.labels.sum() < len(each.scored.labels)
        ]
        parts.append(Div(text=f"<h2>{escape(place)}</h2>"))
        parts.append(row(roc_figure(own), precision_figure(own), reliability_figure(own), lift_figure(own)))
    parts.append(Div(text="<h2>Weights by time scale</h2>"))
    parts += [weights_figure(model) for model in models]
    to.write_text(file_html(column(*parts), INLINE, escape(title)))


def grades_table(reported: Sequence[Reported]) -> DataTable:
    """The measures of all, with their intervals."""
    names = (*MEASURES, "verdict")
    lines = []
    for each in reported:
        grades = grade(each.scored)
        if grades is not None:
            lines.append(
                (
                    each.name, each.place, f"{grades.rows:,}", f"{grades.positive:,}",
                    interval(grades.auc), f"{grades.log_loss.value:.5f}", f"{grades.base_log_loss:.5f}",
                    interval(grades.information), interval(grades.observed_over_expected), verdict(grades),
                )
            )  # fmt: skip
    columns = {name: [line[at] for line in lines] for at, name in enumerate(names)}
    wide = {"verdict": 330, "model": 140, "rows": 80, "positive": 70, "log loss": 80, "base rate's": 80}
    return DataTable(
        source=ColumnDataSource(columns),
        columns=[TableColumn(field=name, title=name, width=wide.get(name, 160)) for name in names],
        width=1600,
        height=40 + 26 * max(len(lines), 1),
        index_position=None,
    )


def _thinned(*arrays: np.ndarray) -> list[np.ndarray]:
    """At most `POINTS` of each, the ends among them."""
    keep = np.unique(np.linspace(0, len(arrays[0]) - 1, POINTS).astype(int))
    return [array[keep] for array in arrays]


def _figure(title: str, x: str, y: str) -> figure:
    return figure(title=title, x_axis_label=x, y_axis_label=y, width=400, height=300, toolbar_location=None)


def roc_figure(reported: Sequence[Reported]) -> figure:
    """True against false positives."""
    plot = _figure("ROC", "false positive rate", "true positive rate")
    for color, each in zip(Category10_10, reported, strict=False):
        false, true, _ = roc_curve(each.scored.labels, each.scored.propensities)
        plot.line(*_thinned(false, true), color=color, legend_label=each.name)
    plot.line([0, 1], [0, 1], color="gray", line_dash="dotted")
    if reported:
        plot.legend.location = "bottom_right"
    return plot


def precision_figure(reported: Sequence[Reported]) -> figure:
    """Precision against recall."""
    plot = _figure("Precision and recall", "recall", "precision")
    for color, each in zip(Category10_10, reported, strict=False):
        precision, recall, _ = precision_recall_curve(each.scored.labels, each.scored.propensities)
        plot.line(*_thinned(recall[::-1], precision[::-1]), color=color)
    return plot


def by_bin(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Mean propensity and observed share in ten bins of equal size, by propensity ascending.

    >>> scored = Scored(np.arange(20), np.arange(20) >= 18, np.arange(20) / 20)
    >>> by_bin(scored)[1].tolist()[-2:]
    [0.0, 1.0]
    """
    order = np.argsort(scored.propensities, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    expected = np.array([scored.propensities[part].mean() for part in bins])
    return expected, np.array([scored.labels[part].mean() for part in bins])


def reliability_figure(reported: Sequence[Reported]) -> figure:
    """What came against what was said, in ten bins of equal size."""
    plot = _figure("Reliability", "propensity", "observed share")
    top = 0.0
    for color, each in zip(Category10_10, reported, strict=False):
        expected, observed = by_bin(each.scored)
        top = max(top, *expected, *observed)
        plot.line(expected, observed, color=color)
        plot.scatter(expected, observed, color=color)
    plot.line([0, top], [0, top], color="gray", line_dash="dotted")
    return plot


def lift_figure(reported: Sequence[Reported]) -> figure:
    """The observed share of each tenth over that of all, the highest propensities first."""
    plot = _figure("Lift by decile", "decile, highest propensity first", "times the base rate")
    for color, each in zip(Category10_10, reported, strict=False):
        _, observed = by_bin(each.scored)
        lift = observed[::-1] / each.scored.labels.mean()
        deciles = np.arange(1.0, len(lift) + 1)
        plot.line(deciles, lift, color=color)
        plot.scatter(deciles, lift, color=color)
    plot.line([1, BINS], [1, 1], color="gray", line_dash="dotted")
    return plot


def weights_figure(model: Model) -> figure:
    """The weights of counts over their time scales, a line for each type and campaign."""
    series: dict[str, list[tuple[float, float]]] = {}
    for feature in model.features:
        if isinstance(feature, Count | DecayedCount):
            scale = feature.look_back if isinstance(feature, Count) else feature.half_life
            name = " ".join(
                part for part in (feature.type or "any", feature.campaign or "", feature.aggregation) if part
            )
            series.setdefault(name, []).append((to_milliseconds(scale) / 3_600_000, feature.weight))
    title = f"{model.id}: horizon {write_duration(model.horizon)}"
    plot = figure(
        title=title,
        x_axis_label="hours",
        y_axis_label="weight",
        x_axis_type="log",
        width=1200,
        height=360,
        toolbar_location=None,
    )
    for number, (name, points) in enumerate(series.items()):
        hours, weights = zip(*sorted(points), strict=True)
        color = Category10_10[number % 10]
        plot.line(hours, weights, color=color, line_dash=("solid", "dashed", "dotted")[number // 10 % 3])
        plot.scatter(hours, weights, color=color, legend_label=name)
    if series:
        plot.add_layout(plot.legend[0], "right")
    return plot
