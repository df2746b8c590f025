"""`python -m cli.setup FOLDER`: the secrets that containers share, one file each. Runs before every other container.

What the environment sets is written as it is; what it does not is generated once and kept. The files have the names
of the settings, so that `SECRETS_DIR` finds them:

ADMIN_API_KEY QDRANT_API_KEY REDIS_URL FLOWER_BASIC_AUTH    read by Lectern's own processes
REDIS_PASSWORD redis.conf qdrant.yaml                       read by the stores
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cli.output import complain, say
from embedded.home import SECRET_BYTES, write_private
from embedded.ports import is_loopback
from shared.errors import ConfigurationError
from shared.settings import child_environment

BAD_CONFIGURATION: Final = 2
ADMIN_KEY: Final = "ADMIN_API_KEY"
FLOWER_AUTH: Final = "FLOWER_BASIC_AUTH"
FLOWER_USER: Final = "lectern"
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
        write_secrets(Path(arguments[0]), child_environment({}))
    except ConfigurationError as error:
        complain(error.message)
        return BAD_CONFIGURATION
    return 0


def write_secrets(folder: Path, environment: Mapping[str, str]) -> None:
    """Bring the folder up to date with the environment. Raises ConfigurationError with a line for what must be set."""
    check_what_is_open(environment)
    new_key = not environment.get(ADMIN_KEY) and not (folder / ADMIN_KEY).exists()
    redis_password = _secret(folder, "REDIS_PASSWORD", environment)
    qdrant_key = _secret(folder, "QDRANT_API_KEY", environment)
    admin_key = _secret(folder, ADMIN_KEY, environment)
    _secret(folder, FLOWER_AUTH, environment, prefix=f"{FLOWER_USER}:")
    for name, text in (
        ("REDIS_URL", f"redis://:{quote(redis_password, safe='')}@redis:6379/0"),
        ("redis.conf", f"requirepass {_quoted(redis_password)}"),
        ("qdrant.yaml", f"service:\n  api_key: {_quoted(qdrant_key)}"),
    ):
        write_private(folder / name, text + "\n")
    if new_key:
        say(f"The admin key is {admin_key}")
        say(f"It is shown this once. Later: docker compose exec api cat {folder}/{ADMIN_KEY}")


def check_what_is_open(environment: Mapping[str, str]) -> None:
    """Keys that a program made up are for this machine only."""
    for variable, (secret, example) in MUST_BE_CHOSEN.items():
        address = environment.get(variable)
        if address and not is_loopback(address) and not environment.get(secret):
            raise ConfigurationError(
                f"{variable} is {address}, which other machines can reach, so {secret} has to be set; "
                f"put it into .env, for example {secret}= and {example}"
            )


def _secret(folder: Path, name: str, environment: Mapping[str, str], prefix: str = "") -> str:
    """The secret as the environment has it, else as the folder has it, else a new one; the folder has it afterwards."""
    file = folder / name
    stored = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    value = environment.get(name) or stored or prefix + secrets.token_urlsafe(SECRET_BYTES)
    if any(character.isspace() for character in value):
        raise ConfigurationError(f"{name}: must have no spaces, for example {name}={secrets.token_urlsafe(8)}")
    if value != stored:
        write_private(file, value + "\n")
    return value


def _quoted(text: str) -> str:
    """As YAML and Redis's configuration both read it."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
