"""`python -m api.healthcheck`: 0 if the API on this machine answers, else 1. For a container, which has no curl."""

from __future__ import annotations

import http.client
import sys
from typing import Final

#: As `Dockerfile.api` starts it.
PORT: Final = 7860
#: Less than a container's health check waits.
SECONDS: Final = 4


def main() -> int:
    """The exit code."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"the API does not answer: {error}\n")
        return 1
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        sys.stderr.write(f"the API answers with status {status}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
