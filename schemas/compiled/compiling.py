"""The decorators of compiled functions, and where their machine code is kept between runs.

Numba keeps compiled functions beside their source, and does not notice when a function that they call, or the layout
of a record that they read, has changed in another file: code of two versions would then work on one memory. So the
folder that keeps them is named after all the sources together.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import numba as nb
import xxhash
from numba import config

_ROOT = Path(__file__).parents[2]
_SOURCES = ("schemas", "model", "topics", "steps", "stores")


def _folder() -> Path:
    """The folder of these sources; where it cannot be written, a copy for this run: Numba reads no other."""
    digest = xxhash.xxh3_128()
    for package in _SOURCES:
        for source in sorted((_ROOT / package).rglob("*.py")):
            digest.update(source.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or _ROOT / "__pycache__") / name
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    temporary = Path(tempfile.mkdtemp(prefix="ad-streams-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    if folder.is_dir():
        shutil.copytree(folder, temporary / name)
    return temporary / name


setattr(config, "CACHE_DIR", str(_folder()))  # noqa: B010 Numba fills its settings in as it starts

compiled = nb.njit(cache=True)
"""Compiles a function, once for all runs."""
inlined = nb.njit(cache=True, inline="always")
"""Compiles a small function into its callers."""
joined = nb.njit(inline="always")
"""The same for a function whose text was generated: it is kept as a part of its callers alone."""
