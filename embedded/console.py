"""What a person sees while the parts run: one stream of lines, each with the name of its part."""

from __future__ import annotations

import sys
from itertools import cycle
from typing import Final, TextIO

#: Cyan, yellow, green, magenta, blue: readable on light and dark terminals; red is left to errors.
COLOURS: Final = ("36", "33", "32", "35", "34")
#: The name in front of the supervisor's own lines.
OWN_NAME: Final = "lectern"


class Console:
    """Prefixes lines with `name | `, in colour when the stream is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty()
        self._palette = cycle(COLOURS)
        self._colours: dict[str, str] = {}
        self._width = len(OWN_NAME)

    def register(self, name: str) -> None:
        """Reserve a colour, and room so that the lines of all parts start in one column."""
        self._colours[name] = next(self._palette)
        self._width = max(self._width, len(name))

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        self.line(OWN_NAME, text)

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = f"\x1b[{self._colours.get(name, '1')}m{prefix}\x1b[0m"
        try:
            self._stream.write(f"{prefix} {text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The reader has gone (`lectern up | head`, a closed terminal). The parts still need stopping in
            # order, so a lost line must not end the supervisor.
            return
