"""The report of models on one page of HTML, drawn with Bokeh; no other file and no server is needed for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.models import FixedTicker, HoverTool, PrintfTickFormatter
from bokeh.models.annotations import Legend, LegendItem, Title
from bokeh.models.renderers import DataRenderer
from bokeh.plotting import figure
from bokeh.resources import INLINE
from jinja2 import Template
from sklearn.metrics import precision_recall_curve, roc_curve

from jobs.grading.grade_tables import MEASURES, TOO_FEW, RatioTable
from jobs.grading.measures import Scored, verdict
from model.durations import to_milliseconds, write_duration
from model.scoring.propensity import Model
from model.scoring.training_record import Estimate, Grades

PAGE = Path(__file__).with_name("report.html")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
INK, MUTED, RULE = "#1d2433", "#667085", "#e7eaf0"
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#332288",
    "#882255",
    "#999933",
    "#8a94a8",
)
"""For models, and for the types and campaigns of features: Okabe and Ito's, then some of Tol's."""
BINS = 10
POINTS = 400
"""Points of a curve at the most."""


@dataclass(frozen=True, eq=False)
class Reported:
    """A model's rows, at events or at clock times, and their grades."""

    name: str
    place: str
    scored: Scored
    grades: Grades | None


Drawn = list[tuple[str, Scored]]
"""What is drawn in one figure: rows by their model's colour."""


def write_report(
    to: Path,
    title: str,
    facts: Sequence[str],
    reported: Sequence[Reported],
    models: Sequence[Model],
    by_part: Sequence[RatioTable] = (),
) -> None:
    """Write the page: facts in words, tables of grades, curves for each place, and the models' weights.

    Raises:
        OSError: the file cannot be written.
    """
    names = dict.fromkeys(each.name for each in reported)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    figures, parts = list[figure](), list[dict[str, Any]]()
    for place in dict.fromkeys(each.place for each in reported):
        own = [
            (colours[each.name], each.scored)
            for each in reported
            if each.place == place and 0 < each.scored.labels.sum() < len(each.scored.labels)
        ]
        drawn = [draw(own) for draw in (roc_figure, precision_figure, reliability_figure, lift_figure)] if own else []
        note = "" if own else "All rows have one label: there is nothing to draw."
        parts.append(_part(place.capitalize(), note, drawn, figures))
    note = "What one more event adds to the log odds goes with the weight; longer time scales remember longer."
    parts.append(_part("Weights by time scale", note, [weights_figure(model) for model in models], figures))
    about = {
        "facts": facts,
        "heads": (*MEASURES, "Brier", "verdict"),
        "texts": (0, 1, len(MEASURES) + 1),
        "lines": [_line(each, colours[each.name]) for each in reported],
        "parts": parts,
        "font": FONT,
        "tables": [_table(each, colours) for each in by_part],
    }
    page = file_html(figures, INLINE, title, template=Template(PAGE.read_text()), template_variables=about)
    to.write_text(page, encoding="utf-8")


def _part(title: str, note: str, drawn: Sequence[figure], figures: list[figure]) -> dict[str, Any]:
    """A part of the page, whose figures come behind those that there are."""
    figures += drawn
    return {"title": title, "note": note, "roots": range(len(figures) - len(drawn), len(figures))}


def _line(reported: Reported, colour: str) -> dict[str, Any]:
    """A line of the table: measures with their intervals."""
    grades = reported.grades
    about = {"name": reported.name, "place": reported.place, "colour": colour, "verdict": verdict(grades)}
    if grades is None:
        empty = [("-", "")] * 6
        counts = len(reported.scored.labels), int(reported.scored.labels.sum())
        return about | {"measures": [*((f"{count:,}", "") for count in counts), *empty]}
    return about | {
        "measures": [
            (f"{grades.rows:,}", ""),
            (f"{grades.positive:,}", ""),
            _measure(grades.auc, 3),
            _measure(grades.log_loss, 5),
            (f"{grades.base_log_loss:.5f}", ""),
            _measure(grades.information, 3),
            _measure(grades.observed_over_expected, 2),
            _measure(grades.brier, 5),
        ]
    }


def _table(found: RatioTable, colours: Mapping[str, str]) -> dict[str, Any]:
    """Observed over expected by part of the rows, a column for each model."""
    lines = []
    for ratios in zip(*found.columns, strict=True):
        first, found_ratios = ratios[0], [each.observed_over_expected for each in ratios]
        measures = [("-", "") if ratio is None else _measure(ratio, 2) for ratio in found_ratios]
        lines.append({"part": first.part, "counts": (f"{first.rows:,}", f"{first.positive:,}"), "measures": measures})
    models = [(name, colours[name]) for name in found.names]
    return {"title": found.title, "by": found.by, "models": models, "lines": lines}


def _measure(estimate: Estimate, digits: int) -> tuple[str, str]:
    low, high = estimate.low, estimate.high
    ends = TOO_FEW if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"
    return f"{estimate.value:.{digits}f}", ends


def _plain(text: str) -> str:
    r"""A text that Bokeh does not take for TeX, for which the page would ask another host.

    >>> _plain(r"$$a$$ \(b\)")
    '$ $a$ $ \\ (b\\)'
    """
    return re.sub(r"\$\$|\\[(\[]", lambda found: " ".join(found.group()), text)


def _thinned(*arrays: np.ndarray) -> list[np.ndarray]:
    """At most `POINTS` of each, the ends among them."""
    keep = np.unique(np.linspace(0, len(arrays[0]) - 1, POINTS).astype(int))
    return [array[keep] for array in arrays]


def _figure(text: str, x: str, y: str, height: int = 300, **more: Any) -> figure:
    """An empty figure, as all are."""
    title = Title(text=text, text_font=FONT, text_font_size="13px", text_color=INK)
    plot = figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        outline_line_color=None,
        **more,
    )
    plot.grid.grid_line_color = plot.axis.axis_line_color = plot.axis.major_tick_line_color = RULE
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_font_style = "normal"
    for text in ("major_label", "axis_label"):
        for name, value in (("font", FONT), ("font_size", "12px"), ("color", MUTED)):
            setattr(plot.axis, f"{text}_text_{name}", value)
    return plot


def _compare(plot: figure, x: Sequence[float], y: Sequence[float]) -> None:
    """A dotted line to compare curves with."""
    plot.line(x, y, color=MUTED, line_dash="dotted")


def _tell(plot: figure, points: list[DataRenderer], *tips: tuple[str, str]) -> None:
    """Tell about a point under the pointer."""
    plot.add_tools(HoverTool(renderers=points, tooltips=list(tips)))


def roc_figure(drawn: Drawn) -> figure:
    """True against false positives."""
    plot = _figure("ROC", "False positive rate", "True positive rate")
    _compare(plot, [0, 1], [0, 1])
    points = list[DataRenderer]()
    for colour, scored in drawn:
        false, true, _ = roc_curve(scored.labels, scored.propensities)
        points.append(plot.line(*_thinned(false, true), color=colour, line_width=2))
    _tell(plot, points, ("False positive rate", "$x{0.0%}"), ("True positive rate", "$y{0.0%}"))
    return plot


def precision_figure(drawn: Drawn) -> figure:
    """Precision against recall, beside the base rate."""
    plot = _figure("Precision and recall", "Recall", "Precision")
    points = list[DataRenderer]()
    for colour, scored in drawn:
        precision, recall, _ = precision_recall_curve(scored.labels, scored.propensities)
        points.append(plot.line(*_thinned(recall[::-1], precision[::-1]), color=colour, line_width=2))
        _compare(plot, [0, 1], [scored.labels.mean()] * 2)
    _tell(plot, points, ("Recall", "$x{0.0%}"), ("Precision", "$y{0.0%}"))
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


def reliability_figure(drawn: Drawn) -> figure:
    """What came against what was said, in ten bins of equal size."""
    plot = _figure("Reliability", "Propensity, mean of a tenth of the rows", "Observed share")
    top, points = 0.0, list[DataRenderer]()
    for colour, scored in drawn:
        expected, observed = by_bin(scored)
        top = max(top, *expected, *observed)
        plot.line(expected, observed, color=colour, line_width=2)
        points.append(plot.scatter(expected, observed, color=colour, size=7))
    _compare(plot, [0, top], [0, top])
    plot.axis.formatter = PrintfTickFormatter(format="%.2f")
    _tell(plot, points, ("Said", "@x{0.00%}"), ("Observed", "@y{0.00%}"))
    return plot


def lift_figure(drawn: Drawn) -> figure:
    """The observed share of each tenth over that of all, the highest propensities first."""
    plot = _figure("Lift by decile", "Decile, highest propensity first", "Times the base rate")
    points = list[DataRenderer]()
    for colour, scored in drawn:
        _, observed = by_bin(scored)
        lift = observed[::-1] / scored.labels.mean()
        deciles = np.arange(1.0, len(lift) + 1)
        plot.line(deciles, lift, color=colour, line_width=2)
        points.append(plot.scatter(deciles, lift, color=colour, size=7))
    _compare(plot, [1, BINS], [1, 1])
    plot.xaxis.ticker = FixedTicker(ticks=list(range(1, BINS + 1)))
    _tell(plot, points, ("Decile", "@x{0}"), ("Times the base rate", "@y{0.00}"))
    return plot


def weights_figure(model: Model) -> figure:
    """The weights of counts over their time scales, a line for each type and campaign."""
    series: dict[str, list[tuple[int, float]]] = {}
    scales: dict[int, str] = {}
    for feature in model.features:
        scale = feature.window or feature.decay
        if scale is not None:
            scales[to_milliseconds(scale)] = write_duration(scale)
            name = f"{feature.type or 'any'} {feature.campaign or ''}".strip()
            series.setdefault(name, []).append((to_milliseconds(scale), feature.weight))
    title = f"{model.id}: an order within {write_duration(model.horizon)}"
    height = max(300, 24 * len(series) + 60)
    plot = _figure(_plain(title), "Half-life or look-back", "Weight", height, x_axis_type="log")
    plot.xaxis.ticker = FixedTicker(ticks=sorted(scales))
    plot.xaxis.major_label_overrides = dict(sorted(scales.items()))
    items = []
    for number, (name, points) in enumerate(series.items()):
        x, y = zip(*sorted(points), strict=True)
        colour, dash = COLOURS[number % len(COLOURS)], ("solid", "dashed", "dotted")[number // len(COLOURS) % 3]
        line = plot.line(x, y, color=colour, line_dash=dash, line_width=2)
        drawn: list[Any] = [line, plot.scatter(x, y, color=colour, size=7)]
        items.append(LegendItem(label=_plain(name), renderers=drawn))
    if items:
        legend = Legend(items=items, border_line_color=None, label_text_font_size="12px", spacing=0, glyph_width=16)
        legend.update(label_text_font=FONT, label_text_color=INK)
        plot.add_layout(legend, "right")
    return plot
