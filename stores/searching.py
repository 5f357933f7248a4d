"""Finding user ids by how they begin, whatever the case of their letters; the same in both stores."""

from __future__ import annotations

import re
from itertools import product
from math import prod

MOST = 1_024
"""Spellings of a beginning that are tried at the most; the letters behind it are compared one by one."""


def _spellings(letter: str) -> list[str]:
    """A letter in each of its cases that is one letter, itself first.

    >>> _spellings("a"), _spellings("ß"), _spellings("7")
    (['a', 'A'], ['ß'], ['7'])
    """
    return list(dict.fromkeys(each for each in (letter, letter.lower(), letter.upper()) if len(each) == 1))


def begins_so(prefix: str) -> re.Pattern[str]:
    """What matches at the start of ids that begin with a text, in any case.

    >>> bool(begins_so("an").match("Anna")), bool(begins_so("a.").match("anna"))
    (True, False)
    """
    return re.compile("".join(f"[{''.join(map(re.escape, _spellings(letter)))}]" for letter in prefix), re.DOTALL)


def beginnings(prefix: str) -> list[str]:
    """Texts one of which each id that begins with `prefix` in any case begins with, in order.

    >>> beginnings("u1"), len(beginnings("abcdefghijklmnop"))
    (['U1', 'u1'], 1024)
    """
    spelt = list(map(_spellings, prefix))
    while prod(map(len, spelt)) > MOST:
        spelt.pop()
    return sorted("".join(letters) for letters in product(*spelt))
