"""Keys: who is an admin, and who has a visitor key that raises limits."""

from __future__ import annotations

import hashlib
from hmac import compare_digest

from starlette.datastructures import Headers

from shared.errors import Unauthorized
from shared.settings import Settings


class Keys:
    """The configured keys as hashes: of equal length, so that comparing them tells nothing about the right one."""

    def __init__(self, settings: Settings) -> None:
        self._admin = _hash(settings.admin_api_key.get_secret_value()) if settings.admin_api_key else None
        self._visitors = [_hash(key.get_secret_value()) for key in settings.api_keys]

    def require_admin(self, headers: Headers) -> None:
        """Raise Unauthorized unless the request carries the admin key."""
        if self._admin is None:
            raise Unauthorized("admin routes are closed: set ADMIN_API_KEY and start the API again")
        presented = presented_key(headers)
        if presented is None:
            raise Unauthorized("this route needs the admin key, as X-API-Key or as Authorization: Bearer")
        if not compare_digest(_hash(presented), self._admin):
            raise Unauthorized("the key is not the admin key")

    def known(self, headers: Headers) -> str | None:
        """A name for the configured key that the request carries, fit for a limit's bucket; None without one."""
        presented = presented_key(headers)
        if presented is None:
            return None
        hashed = _hash(presented)
        matches = [compare_digest(hashed, key) for key in (*self._visitors, *([self._admin] if self._admin else []))]
        return hashed.hex()[:16] if any(matches) else None


def presented_key(headers: Headers) -> str | None:
    """The key in `X-API-Key`, else the one in `Authorization: Bearer`."""
    if key := headers.get("x-api-key", "").strip():
        return key
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
