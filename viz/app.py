"""The page. From the project's root: `panel serve viz/app.py --plugins viz.api --warm`."""

import sys
from pathlib import Path

import panel as pn

ROOT = str(Path(__file__).resolve().parent.parent)

if pn.state.served:
    if ROOT not in sys.path:
        sys.path.append(ROOT)
    from viz.page import serve

    serve()
