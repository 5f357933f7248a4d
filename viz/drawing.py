"""The figure that the chart fills: axes, glyphs, the tooltip, and how they look."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, Range1d
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure

from viz import look

TOOLTIP = f"""
<div style="font: 13px/1.5 {look.FONT}; color: {look.INK}; max-width: 20rem; overflow-wrap: anywhere">
  <div style="font-weight: 650">@type</div>
  <div style="color: {look.MUTED}">@user</div>
  <div style="white-space: pre-line; margin-top: 4px">@lines</div>
</div>
"""
"""What hovering over an event tells. Bokeh puts the columns' texts in as text."""
_NO_RING = ":host(:focus), :host > *:focus { outline: none !important; }"


def empty_figure(times: Range1d, heights: Range1d) -> figure:
    """A figure of propensity over event time, with nothing in it."""
    plot = figure(
        x_axis_type="datetime",
        x_range=times,
        y_range=heights,
        sizing_mode="stretch_both",
        min_height=280,
        tools="xbox_zoom",
        toolbar_location=None,
        x_axis_label="Time of the events (UTC)",
        y_axis_label="Propensity to convert",
        background_fill_color=look.PAPER,
        border_fill_color=look.PAPER,
        outline_line_color=None,
        stylesheets=[_NO_RING],
    )
    plot.grid.grid_line_color = look.RULE
    plot.axis.axis_line_color = look.RULE
    plot.axis.major_tick_line_color = look.RULE
    plot.axis.minor_tick_line_color = None
    for text in ("major_label", "axis_label"):
        for name, value in (("font", look.FONT), ("font_size", "12px"), ("font_style", "normal")):
            setattr(plot.axis, f"{text}_text_{name}", value)
        setattr(plot.axis, f"{text}_text_color", look.MUTED)
    day, clock = "%d %b", "%H:%M"
    once = DatetimeTickFormatter(minutes=day, hourmin=day, hours=day, days="%Y", months="")
    plot.xaxis.formatter = DatetimeTickFormatter(
        minutes=clock,
        hourmin=clock,
        hours=clock,
        days=day,
        months="%b %Y",
        context=once,
        context_which="start",
    )
    return plot


def add_now(plot: figure, now: Span, future: BoxAnnotation) -> None:
    """Add the line of the stream's now, and a tint over what is still to come."""
    now.update(dimension="height", line_color=look.MUTED, line_dash=[4, 4], line_width=1)
    future.update(fill_color=look.FUTURE, fill_alpha=1.0, line_color=None, level="underlay")
    plot.add_layout(future)
    plot.add_layout(now)


def add_moment(plot: figure, moment: Span) -> None:
    """Add the line of the moment that is explained."""
    moment.update(dimension="height", line_color=look.INK, line_width=1, visible=False)
    plot.add_layout(moment)


def add_changes(plot: figure, changes: ColumnDataSource) -> None:
    """Add a line where another model follows, with its name at the top."""
    plot.vspan("start", source=changes, name="model", line_color=look.OTHERS, line_dash=[1, 3], line_width=1.5)
    plot.text(
        "start",
        "height",
        text="text",
        source=changes,
        name="model",
        text_color=look.MUTED,
        x_offset=5,
        y_offset=4,
        text_baseline="top",
        text_font={"value": look.FONT},
        text_font_size="12px",
    )


def add_curves(plot: figure, curves: Sequence[ColumnDataSource]) -> None:
    """Add a line in each user colour."""
    for colour, curve in zip(look.USER_COLOURS, curves, strict=True):
        plot.line("time", "propensity", source=curve, name="curve", line_color=colour, line_width=2.2)


def add_events(plot: figure, events: ColumnDataSource) -> None:
    """Add markers that tell about themselves. One glyph for all types: where they overlap, the rarest one is told."""
    marks = plot.scatter(
        "time",
        "propensity",
        source=events,
        name="events",
        marker="shape",
        size="size",
        fill_color="colour",
        line_color="white",
        line_width=0.8,
    )
    plot.add_tools(
        HoverTool(
            renderers=[marks], tooltips=TOOLTIP, limit=1, sort_by=[("rank", "descending")], point_policy="snap_to_data"
        )
    )


def add_cursor(plot: figure, cursor: ColumnDataSource) -> None:
    """Add a ring around the event that the keyboard is at."""
    plot.scatter(
        "time",
        "propensity",
        source=cursor,
        name="cursor",
        size=24,
        fill_color=None,
        line_color=look.INK,
        line_width=2,
    )


def add_ends(plot: figure, ends: ColumnDataSource) -> None:
    """Add the points where the curves stand now, and their propensities in words."""
    plot.scatter(
        "time",
        "propensity",
        source=ends,
        name="now",
        size=9,
        fill_color="colour",
        line_color="white",
        line_width=1.5,
    )
    plot.text(
        "time",
        "height",
        text="text",
        source=ends,
        name="now",
        text_color="colour",
        x_offset=9,
        text_baseline="middle",
        text_font={"value": look.FONT},
        text_font_size="13px",
        text_font_style="bold",
    )
