"""`python -m cli.setup FOLDER`: what containers share, one file each. Runs before every other container.

What the environment chooses is taken, once it is known to be right; what it leaves open is generated once and kept
below `generated/`. So a key that is taken out of `.env` opens nothing any more. The files have the names of settings,
so that `SECRETS_DIR` finds them:

ADMIN_API_KEY QDRANT_URL QDRANT_API_KEY REDIS_URL FLOWER_BASIC_AUTH    read by Lectern's own processes
REDIS_PASSWORD redis.conf qdrant.yaml                                  read by the stores
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from cli.output import complain, say
from embedded.home import SECRET_BYTES, write_private
from embedded.ports import is_loopback
from shared.errors import ConfigurationError
from shared.settings import child_environment, load_settings

BAD_CONFIGURATION: Final = 2
ADMIN_KEY: Final = "ADMIN_API_KEY"
FLOWER_AUTH: Final = "FLOWER_BASIC_AUTH"
FLOWER_USER: Final = "lectern"
#: The stores that stand beside Lectern, by their names in `docker-compose.yml`.
OWN_QDRANT: Final = "http://qdrant:6333"
OWN_REDIS: Final = "redis:6379/0"
#: What has to be chosen by a person before a port is open to other machines, and the variable that opens it.
MUST_BE_CHOSEN: Final[Mapping[str, tuple[str, str]]] = {
    "BIND_ADDRESS": (ADMIN_KEY, "the output of: openssl rand -hex 32"),
    "FLOWER_BIND_ADDRESS": (FLOWER_AUTH, "admin: followed by the output of: openssl rand -hex 32"),
}


def main(arguments: list[str]) -> int:
    """Write the files; the process's exit code."""
    if len(arguments) != 1:
        complain("usage: python -m cli.setup FOLDER")
        return BAD_CONFIGURATION
    try:
        write_files(Path(arguments[0]), child_environment({}))
    except ConfigurationError as error:
        complain(error.message)
        return BAD_CONFIGURATION
    return 0


def write_files(folder: Path, environment: Mapping[str, str]) -> None:
    """Bring the folder up to date with the environment. Raises ConfigurationError with a line for what must be set."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; mount the volume of the secrets there")
    settings = load_settings(None)  # a wrong setting stops the start here, before anything runs
    check_what_is_open(environment)
    generated = Generated(folder / "generated")
    new_key = not environment.get(ADMIN_KEY) and not generated.has(ADMIN_KEY)
    chosen = {
        name: _without_spaces(name, environment.get(name, "")) or generated.get(name, prefix)
        for name, prefix in (
            (ADMIN_KEY, ""),
            ("QDRANT_API_KEY", ""),
            ("REDIS_PASSWORD", ""),
            (FLOWER_AUTH, f"{FLOWER_USER}:"),
        )
    }
    own_redis = f"redis://:{quote(chosen['REDIS_PASSWORD'], safe='')}@{OWN_REDIS}"
    files = {
        **chosen,
        "QDRANT_URL": reachable(settings.qdrant_url) or OWN_QDRANT,
        "REDIS_URL": reachable(settings.redis_url.get_secret_value()) or own_redis,
        "redis.conf": f"requirepass {_quoted(chosen['REDIS_PASSWORD'])}",
        "qdrant.yaml": f"service:\n  api_key: {_quoted(chosen['QDRANT_API_KEY'])}",
    }
    for name, text in files.items():
        write_private(folder / name, text + "\n")
    if new_key:
        say(f"The admin key is {chosen[ADMIN_KEY]}")
        say(f"It is shown this once. Later: docker compose exec api cat {folder}/{ADMIN_KEY}")


def check_what_is_open(environment: Mapping[str, str]) -> None:
    """Keys that a program made up are for this machine only."""
    for variable, (secret, example) in MUST_BE_CHOSEN.items():
        address = environment.get(variable, "")
        if address and not is_loopback(address.strip("[]")) and not environment.get(secret):
            raise ConfigurationError(
                f"{variable} is {address}, which other machines can reach, so {secret} has to be set; "
                f"put it into .env, for example {secret}= and {example}"
            )


def reachable(url: str) -> str | None:
    """The address of a store, unless it names this machine, which for a container is the container itself.

    Files that were written for a start without containers hold such addresses, and so do the defaults.
    """
    return None if is_loopback(urlsplit(url).hostname or "localhost") else url


class Generated:
    """Secrets that nobody has chosen, in a folder of their own; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def get(self, name: str, prefix: str) -> str:
        file = self._folder / name
        if not file.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_private(file, f"{prefix}{secrets.token_urlsafe(SECRET_BYTES)}\n")
        return file.read_text(encoding="utf-8").strip()


def _without_spaces(name: str, value: str) -> str:
    if any(character.isspace() for character in value):
        raise ConfigurationError(f"{name}: must have no spaces; use the output of: openssl rand -hex 32")
    return value


def _quoted(text: str) -> str:
    """As YAML and Redis's configuration both read it."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
