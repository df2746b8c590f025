"""What is answered instead of a result, in Qdrant's statuses and words.

RestError
├── BadRequest     400  the caller can mend it: a wrong size, an unknown vector, a broken filter
├── Unauthorized   401  no key, or a wrong one
├── NotFound       404  no such collection, alias or point
├── AlreadyExists  409  the name is taken
├── BodyTooLarge   413  over the limit that a Qdrant server has too
├── EngineFailed   500  the engine or its files are broken; not the caller's fault
├── NotOffered     501  a Qdrant server does it, the embedded engine does not
├── Closing        503  the collection was closed while the request ran
└── DiskFull       507  refused, because the engine dies when the disk runs full under it

CannotStart is not an answer: the process ends with its message as its only line.
"""

from __future__ import annotations

from typing import ClassVar


class RestError(Exception):
    """Base of everything that becomes an answer; the message is the `status.error` of its body."""

    status: ClassVar[int] = 500


class BadRequest(RestError):
    status = 400


class Unauthorized(RestError):
    status = 401


class NotFound(RestError):
    status = 404


class AlreadyExists(RestError):
    status = 409


class BodyTooLarge(RestError):
    status = 413


class EngineFailed(RestError):
    status = 500


class NotOffered(RestError):
    """`what` is named in the plural or with an article: `groups`, `a recommend query`."""

    status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"The embedded engine does not offer {what}; a Qdrant server does")


class Closing(RestError):
    status = 503


class DiskFull(RestError):
    status = 507


class CannotStart(Exception):
    """Raised before the server listens: wrong arguments, a folder in use, a disk that cannot be written."""


#: How the engine's messages about itself begin; all others speak of the request.
_OWN_FAULTS = ("Service runtime error", "Service internal error", "Inconsistent storage", "Out of memory")


def is_engine_error(error: BaseException) -> bool:
    """Whether the engine raised it: it uses the class `Exception` itself, or a panic, and no class of its own."""
    return type(error) is Exception or type(error).__name__ == "PanicException"


def from_engine(error: BaseException) -> RestError:
    """The answer for something that the engine raised."""
    text = str(error)
    if "Shard is not initialized" in text:
        return Closing("The collection was closed while the request ran")
    if text.startswith("No point with id"):
        return NotFound(f"Not found: {text} found")
    if type(error) is not Exception or text.startswith(_OWN_FAULTS):
        return EngineFailed(f"Service internal error: {text}")
    return BadRequest(f"Wrong input: {text}")
