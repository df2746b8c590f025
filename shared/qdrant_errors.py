"""The Qdrant client's errors in our words: no answer is a state of the world, a refusal is a bug."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from shared.errors import ConfigurationError, DependencyDown

#: How the embedded engine answers what only a Qdrant server can do.
NOT_IMPLEMENTED: Final = 501


@contextmanager
def qdrant_errors() -> Iterator[None]:
    """Translate the client's errors. A refusal (4xx), but for that of a key, is a bug of ours and stays as it is."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise DependencyDown("Qdrant refuses the key; check QDRANT_API_KEY", retry_after=30) from error
        if error.status_code == NOT_IMPLEMENTED:  # asking again would change nothing
            raise ConfigurationError(f"this Qdrant cannot do what the settings ask of it: {_said(error)}") from error
        if error.status_code is not None and error.status_code < 500:
            raise
        raise DependencyDown(f"Qdrant answered {error.status_code}", retry_after=5) from error
    except (ApiException, QdrantException, OSError) as error:
        raise DependencyDown("Qdrant does not answer", retry_after=5) from error


def _said(error: UnexpectedResponse) -> str:
    """The reason that Qdrant gives; a proxy before it gives another kind of text."""
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"
