"""The page that streams propensity curves, and the HTTP API beside it."""

import sys

if sys.argv[1:2] == ["serve"]:
    # Panel imports its plugin, viz.api, long before it serves: what asks the page to end is heeded from here on.
    from viz.shutdown import prepare

    prepare()
