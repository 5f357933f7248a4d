"""The parts of the page around the chart: they show data, and report what was clicked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

WEB = Path(__file__).parent / "web"


class Part(JSComponent):
    """A piece of the page, drawn by the function `kind` of `web/parts.js` from `data`.

    The browser sets texts as text and never as markup, so data may hold anything that an event can hold.
    `on_message` takes what the browser sends: a dict with one key, the name of what was asked for.
    """

    kind = param.String(constant=True)
    data = param.Dict(default={})

    _esm: ClassVar[Path] = WEB / "parts.js"
    _stylesheets: ClassVar[list[str]] = ["web/parts.css"]

    def __init__(self, kind: str, on_message: Callable[[dict[str, Any]], None] | None = None) -> None:
        super().__init__(kind=kind, sizing_mode="stretch_both" if kind in ("notice", "keys") else "stretch_width")  # type: ignore[no-untyped-call]
        self._on_message = on_message

    def put(self, **data: Any) -> None:
        """Show this data from now on; nothing is sent where nothing changed."""
        if data != self.data:
            self.data = data

    def _handle_msg(self, message: Any) -> None:
        if self._on_message is not None and isinstance(message, dict):
            self._on_message(message)
