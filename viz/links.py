"""The page's address: the users that are shown, the width of the window, and what is explained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote


def write_query(users: Iterable[str], window: str, about: str = "", at: int | None = None) -> str:
    """The query of a page that shows these users. Ids are percent-encoded; only a comma between them is bare.

    >>> write_query(["a,b", "c d"], "1w")
    '?users=a%2Cb,c%20d&window=1w'
    >>> write_query(["ann", "bob"], "1w", "bob", 1_497_535_380_000)
    '?users=ann,bob&window=1w&about=bob&at=1497535380000'
    """
    listed = ",".join(quote(storable(user), safe="") for user in users)
    asked = f"&about={quote(storable(about), safe='')}" if about else ""
    asked += f"&at={at}" if at is not None else ""
    return f"?users={listed}&window={quote(window, safe='')}{asked}"


def read_query(query: str) -> tuple[list[str] | None, str | None]:
    """The users and the window of a query; None for what it does not have.

    >>> read_query("?users=a%2Cb,c%20d&window=1w")
    (['a,b', 'c d'], '1w')
    >>> read_query("?users=")
    ([], None)
    """
    fields = _fields(query)
    users = fields.get("users")
    if users is None:
        return None, fields.get("window")
    return list(dict.fromkeys(_text(user) for user in users.split(",") if user)), fields.get("window")


def read_explained(query: str) -> tuple[str, int | None]:
    """Which user a query asks to explain, empty for none, and at which moment (ms), None for now.

    >>> read_explained("?users=ann&about=ann&at=1497535380000")
    ('ann', 1497535380000)
    >>> read_explained("?users=ann&at=soon"), read_explained("?users=ann&at=-999999999999999")
    (('', None), ('', None))
    """
    fields = _fields(query)
    at = fields.get("at", "")
    return _text(fields.get("about", "")), int(at) if _TIME.fullmatch(at) else None


def _fields(query: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in query.removeprefix("?").split("&"))


_TIME = re.compile(r"[0-9]{1,15}")


def _text(quoted: str) -> str:
    return unquote(quoted.replace("+", " "))


def storable(text: str) -> str:
    """A text as a store can hold it: what is not Unicode becomes `?`."""
    return text.encode("utf-8", "replace").decode()
