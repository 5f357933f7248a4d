"""Texts of others on a person's screen: what would move a cursor or turn a line round is shown as an escape."""

from __future__ import annotations


def visible(text: str, keep: str = "") -> str:
    r"""The text with each character that does not print by itself as Python writes it, but for those to `keep`.

    Control characters, marks of direction and of joining, surrogates, and spaces beyond ASCII.

    >>> print(visible("sum\x1b[2Jmer\u202e1\u200f2"), visible("a\nb"))
    sum\x1b[2Jmer\u202e1\u200f2 a\nb
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else ascii(each)[1:-1] for each in text)
