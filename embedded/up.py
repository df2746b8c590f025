"""`lectern up`: everything on one machine with one command. Validates, starts, announces, keeps going."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from embedded.console import Console
from embedded.home import Home, Running, admin_key, open_home
from embedded.parts import Plan, stages
from embedded.ports import LOOPBACK, is_loopback, pick_free, require_free
from embedded.supervisor import Supervisor
from shared.errors import ConfigurationError
from shared.settings import Settings, load_settings

BAD_INPUT: Final = 2


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line said; None leaves it to the settings."""

    docs: Path | None = None
    site_url: str | None = None
    home: Path = Path(".lectern")
    host: str | None = None
    #: 0 is any free port, for the API as for Flower.
    port: int | None = None
    flower_port: int | None = None
    concurrency: int | None = None


async def up(options: UpOptions, announce: Callable[[Running], Awaitable[None]]) -> int:
    """Start all parts and run until a signal asks to stop.

    `announce` is awaited once, when everything answers, beside the running parts; it is cancelled at a stop.
    Returns the exit code: 0 stopped as asked, 1 a part could not start, 2 an option, a setting or the home
    cannot be used.
    """
    try:
        plan = plan_of(options)
        with plan.home.lock(plan.api_url):
            plan.home.withdraw()  # what an instance that was killed left behind
            require_free(plan.host, plan.api_port, "--port")
            require_free(LOOPBACK, plan.flower_port, "--flower-port")
            return await _run(plan, announce)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            Console(sys.stderr).say(line)
        return BAD_INPUT


async def _run(plan: Plan, announce: Callable[[Running], Awaitable[None]]) -> int:
    running = Running(
        home=plan.home.path,
        pid=os.getpid(),
        api_url=plan.api_url,
        flower_url=plan.flower_url,
        qdrant_url=plan.qdrant_url,
        valkey_port=plan.valkey_port,
        content_root=plan.content_root,
        admin_key=admin_key(plan.home),
    )

    if plan.external_qdrant:
        Console().say(f"the index is kept in the Qdrant at {plan.external_qdrant}, which QDRANT_URL names")

    async def on_ready() -> None:
        plan.home.publish(running)
        await announce(running)

    try:
        return await Supervisor(stages(plan), Console()).run(on_ready)
    finally:
        plan.home.withdraw()


def plan_of(options: UpOptions) -> Plan:
    """Everything that can be decided without starting anything. Raises ConfigurationError."""
    picked_port, picked_flower_port, valkey_port, qdrant_port = pick_free(4)
    settings = _settings(
        options,
        api_port=picked_port if options.port == 0 else options.port,
        flower_port=picked_flower_port if options.flower_port == 0 else options.flower_port,
    )
    home = open_home(options.home)
    return Plan(
        content_root=_content_root(settings, options),
        sources_dir=_sources_dir(settings, home),
        home=home,
        site_url=settings.site_url,
        host=settings.api_host,
        api_port=settings.api_port,
        flower_port=settings.flower_port,
        valkey_port=valkey_port,
        qdrant_port=qdrant_port,
        external_qdrant=_external(settings.qdrant_url),
        concurrency=settings.worker_concurrency,
    )


def _settings(options: UpOptions, api_port: int | None, flower_port: int | None) -> Settings:
    """The settings with the options laid over them: held to the same rules, refused with the same words."""
    given: dict[str, Any] = {
        "content_root": options.docs,
        "site_url": options.site_url,
        "api_host": options.host,
        "api_port": api_port,
        "flower_port": flower_port,
        "worker_concurrency": options.concurrency,
    }
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def _external(qdrant_url: str) -> str | None:
    """A Qdrant on another machine is used. One on this machine is not: its address is what old `.env` files hold."""
    host = urlsplit(qdrant_url).hostname or ""
    return None if not host or is_loopback(host) else qdrant_url


def _sources_dir(settings: Settings, home: Home) -> Path:
    """Working copies belong to the instance, unless somebody names a place for them."""
    is_named = "sources_dir" in settings.model_fields_set
    return settings.sources_dir.absolute() if is_named else home.path.absolute() / "sources"


def _content_root(settings: Settings, options: UpOptions) -> Path:
    path = settings.content_root
    if settings.remote_source:
        if options.docs is not None:
            raise ConfigurationError(
                "--docs: there is one source, and SOURCE_GIT_URL or SOURCE_SITEMAP_URL is set; leave one of them out"
            )
        return path.absolute()
    if path.is_dir():
        return path.resolve()
    fault = "is a file, not a directory of pages" if path.exists() else "is not there"
    raise ConfigurationError(f"{path} {fault}; say where the Markdown of the site is with --docs")
