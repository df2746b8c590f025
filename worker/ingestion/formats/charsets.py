"""Which of Python's codecs are character sets that pages are written in."""

from __future__ import annotations

from typing import Final

#: Beginnings of the names of those that browsers know, as Python spells them. Not all that Python knows are character
#: sets: `zlib` unpacks, and some take hours for a page. UTF-8 is what everything is read as anyway.
CHARSETS: Final = (
    "iso8859", "cp125", "cp866", "cp874", "koi8", "mac-", "gb", "big5", "euc", "shift_jis", "iso2022_jp",
)  # fmt: skip
