"""Case-insensitive search of user ids by prefix, the same in all stores."""

from __future__ import annotations

import re
from itertools import product
from math import prod

MOST = 1_024
"""The most spellings of a prefix that are tried; letters after it are compared one by one."""


def _spellings(letter: str) -> list[str]:
    """A letter in each case that is a single letter, itself first.

    >>> _spellings("a"), _spellings("ß"), _spellings("7")
    (['a', 'A'], ['ß'], ['7'])
    """
    return list(dict.fromkeys(each for each in (letter, letter.lower(), letter.upper()) if len(each) == 1))


def begins_so(prefix: str) -> re.Pattern[str]:
    """The pattern of ids that start with `prefix` in any case.

    >>> bool(begins_so("an").match("Anna")), bool(begins_so("a.").match("anna"))
    (True, False)
    """
    return re.compile("".join(f"[{''.join(map(re.escape, _spellings(letter)))}]" for letter in prefix), re.DOTALL)


def beginnings(prefix: str) -> list[str]:
    """Texts, in order: each id that starts with `prefix` in any case starts with one of them.

    >>> beginnings("u1"), len(beginnings("abcdefghijklmnop"))
    (['U1', 'u1'], 1024)
    """
    spelt = list(map(_spellings, prefix))
    while prod(map(len, spelt)) > MOST:
        spelt.pop()
    return sorted("".join(letters) for letters in product(*spelt))
