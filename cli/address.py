"""Where the API is, and the key to its admin routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.errors import BadInput
from embedded.home import find_running
from embedded.ports import is_loopback
from shared.settings import Settings, load_settings

#: Where `lectern up` keeps its data and secrets, unless it is told otherwise.
HOME: Final = Path(".lectern")


@dataclass(frozen=True, slots=True)
class Target:
    """An API to talk to."""

    url: str
    #: None where this machine does not know one.
    admin_key: str | None = field(repr=False)
    #: The folder on this machine that the API's worker reads, as far as it is known here.
    content_root: Path
    #: How the address was found, for the line that says that nothing answers there.
    found_by: str

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine's own."""
        return is_loopback(urlsplit(self.url).hostname or "")


def find_api(api: str | None, home: Path) -> Target:
    """The address given, else the instance that runs in `home`, else the settings' port on this machine.

    Raises BadInput for an address that is none, ConfigurationError for a wrong setting.
    """
    settings = load_settings()
    running = find_running(home)
    if api is not None:
        url, found_by = _checked(api), "given with --api or LECTERN_API"
    elif running is not None:
        url, found_by = running.api_url, f"the instance in {home}"
    else:
        url, found_by = f"http://127.0.0.1:{settings.api_port}", "API_PORT; no instance runs in this home"
    root = running.content_root if running is not None and url == running.api_url else settings.content_root
    # The key of this home opens this machine's API; it is never sent to another one.
    own = is_loopback(urlsplit(url).hostname or "") or (running is not None and url == running.api_url)
    return Target(url, _admin_key(settings, home if own else None), root, found_by)


def admin_key_file(home: Path) -> Path:
    """Where a home keeps the key that it made for itself."""
    return home / "secrets" / "admin.key"


def _checked(api: str) -> str:
    try:
        parts = urlsplit(api)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    if not usable:
        raise BadInput(f"{api} is not an address of an API, such as http://127.0.0.1:7860")
    return api.rstrip("/")


def _admin_key(settings: Settings, home: Path | None) -> str | None:
    if settings.admin_api_key is not None:
        return settings.admin_api_key.get_secret_value()
    if home is None:
        return None
    try:
        return admin_key_file(home).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
