"""The page's address: the users that are shown, and the width of the window."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote


def write_query(users: Iterable[str], window: str) -> str:
    """The query of a page that shows these users. Ids are percent-encoded; only a comma between them is bare.

    >>> write_query(["a,b", "c d"], "1w")
    '?users=a%2Cb,c%20d&window=1w'
    """
    listed = ",".join(quote(storable(user), safe="") for user in users)
    return f"?users={listed}&window={quote(window, safe='')}"


def read_query(query: str) -> tuple[list[str] | None, str | None]:
    """The users and the window of a query; None for what it does not have.

    >>> read_query("?users=a%2Cb,c%20d&window=1w")
    (['a,b', 'c d'], '1w')
    >>> read_query("?users=")
    ([], None)
    """
    fields = dict(part.partition("=")[::2] for part in query.removeprefix("?").split("&"))
    users, window = fields.get("users"), fields.get("window")
    if users is None:
        return None, window
    ids = (unquote(user.replace("+", " ")) for user in users.split(",") if user)
    return list(dict.fromkeys(ids)), window


def storable(text: str) -> str:
    """A text as a store can hold it: what is not Unicode becomes `?`."""
    return text.encode("utf-8", "replace").decode()
