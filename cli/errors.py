"""What ends a command early, each with the exit code that a script can act on.

CommandError        1  it was tried and failed
├── BadInput        2  an option, a setting or a key is wrong: the same command will fail again
└── Unreachable     3  nothing answers at the API's address
    └── Interrupted 3  something did, and the connection broke
"""

from __future__ import annotations

from typing import ClassVar, Final

OK: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3
#: The question was answered with "the docs do not say", or a search found no passage.
NOTHING_FOUND: Final = 4
#: An evaluation has a measure under the bar that it was given.
BELOW: Final = 5
#: As shells report a program that Ctrl-C ended.
INTERRUPTED: Final = 130


class CommandError(Exception):
    """Base of all expected failures of a command. The message is one line for a person."""

    exit_code: ClassVar[int] = FAILED

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds after which the API wants to be asked again; None where it did not say.
        self.retry_after = retry_after


class BadInput(CommandError):
    """Raised when the person at the terminal has to change something first."""

    exit_code = BAD_INPUT


class Unreachable(CommandError):
    """Raised when no answer came back from the API's address."""

    exit_code = UNREACHABLE


class Interrupted(Unreachable):
    """Raised when the connection to the API broke, or was silent for too long."""
