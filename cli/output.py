"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

#: The name in front of an error, as other programs do it.
PROGRAM: Final = "lectern"
#: Control characters: what a model or a page says must not move a terminal's cursor.
UNPRINTABLE: Final = {code: None for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def say(text: str = "") -> None:
    """A line of the result."""
    print(printable(text))


def say_json(value: Any) -> None:
    """The result for machines, as one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def complain(message: str) -> None:
    """One line for each line of the message, on standard error."""
    for line in message.splitlines():
        print(f"{PROGRAM}: {printable(line)}", file=sys.stderr)


def write(text: str) -> None:
    """A piece of a line, shown at once."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def printable(text: str) -> str:
    """The text without control characters."""
    return text.translate(UNPRINTABLE)


def duration(seconds: float) -> str:
    """`8 s`, `2 min 5 s`, `1 h 2 min`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def amount(count: int, thing: str) -> str:
    """`1 page`, `1,204 pages`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
