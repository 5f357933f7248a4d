"""A served page, and a Chromium that notes all that a page must not do."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Dialog, Page, expect

from tests.services.ports import free_port
from tests.viz.streams import DECAY, ROOT

PATIENCE = 600.0
expect.set_options(timeout=PATIENCE * 1_000)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """Where Chromium is."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


def serving(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """A process that serves the page with these settings."""
    return serving_to(subprocess.PIPE, *arguments, **settings)


def serving_to(said: int | IO[bytes], *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """The same, where what it says goes to a file."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADSTREAMS_")}
    command = (sys.executable, "-m", "panel", "serve", "viz/app.py", "--address", "127.0.0.1", *arguments)
    return subprocess.Popen(command, cwd=ROOT, env=environment | settings, stdout=said, stderr=subprocess.STDOUT)


@contextmanager
def served(store: Path | None, model: Path = DECAY, port: int | None = None, **settings: str) -> Iterator[str]:
    """The address of a served page over a SQLite file, or over the store of other settings."""
    port = port or free_port()
    settings |= {"ADSTREAMS_MODEL": str(model)} | ({"ADSTREAMS_SQLITE_PATH": str(store)} if store else {})
    process = serving("--plugins", "viz.api", "--warm", "--port", str(port), **settings)
    try:
        wait_for(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/api/health"))
        if process.poll() is not None:
            assert process.stdout is not None
            raise AssertionError(f"the server ended: {process.stdout.read().decode()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def answers(url: str) -> bool:
    """Whether the server is there: also where it says that no flow runs, as of an empty store."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 503
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def visiting(browser: Browser, width: int = 1280, height: int = 800) -> Iterator[Page]:
    """A browser page that fails if it asks another host for anything, logs an error or opens a dialog."""
    problems: list[str] = []

    def note_request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            problems.append(f"asked {url}")

    def refuse(dialog: Dialog) -> None:
        problems.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE * 1_000)
    page.on("request", lambda request: note_request(request.url))
    page.on("websocket", lambda connection: note_request(connection.url))
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", refuse)
    try:
        yield page
    finally:
        page.close()
    assert not problems


Drawn = dict[str, list[tuple[float, float]]]


def drawn(page: Page) -> Drawn | None:
    """What the chart holds by type of event, `curve` and `now`, in pixels of the page; None while there is none."""
    result: Drawn | None = page.evaluate("""() => {
      const models = window.Bokeh?.documents?.[0]?._all_models?.values() ?? []
      const plot = [...models].find((model) => model.type == "Figure")
      const view = plot && Bokeh.index.find_one(plot)
      if (!view?.canvas_view) return null
      const place = view.canvas_view.el.getBoundingClientRect()
      const found = {"Impression": [], "Click": [], "Paid search": [], "Conversion": [], "curve": []}
      for (const renderer of plot.renderers) {
        const { name, data_source: { data } } = renderer
        if (!data.propensity) continue
        Array.from(data.time).forEach((time, at) => (found[data.type?.[at] ?? name] ??= []).push([
          place.x + view.frame.x_scale.compute(time), place.y + view.frame.y_scale.compute(data.propensity[at]),
        ]))
      }
      return found
    }""")
    return result


def settled(page: Page, condition: Callable[[Drawn], bool]) -> Drawn:
    """What the chart holds once a condition on it holds and nothing moves any more."""
    found: list[Drawn | None] = [None]

    def holds() -> bool:
        page.wait_for_timeout(100)
        found.append(drawn(page))
        return found[-1] is not None and found[-1] == found[-2] and condition(found[-1])

    wait_for(holds)
    assert found[-1] is not None
    return found[-1]
