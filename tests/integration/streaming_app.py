"""An application whose answers never end, for a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NoReturn

from fastapi import FastAPI

from api.chat.events import Delta, Event, Started
from api.main import create_app, leaving_on_bad_configuration
from shared.errors import ConfigurationError
from shared.settings import Settings, load_settings
from tests.http_api import NoModel, open_services_without_model


async def endless(*_: Any) -> AsyncGenerator[Event, None]:
    yield Started((), 1)
    while True:
        yield Delta("word ")
        await asyncio.sleep(0.02)


def app() -> FastAPI:
    return create_app(
        load_settings(None), answer=endless, open_model=lambda _: NoModel(), open_services=open_services_without_model
    )


def misconfigured_app() -> FastAPI:
    """One whose fault shows only when it opens what it needs."""

    def open_model(_: Settings) -> NoReturn:
        raise ConfigurationError("CHAT_MODEL: is not one of the provider's")

    application = create_app(load_settings(None), open_model=open_model, open_services=open_services_without_model)
    return leaving_on_bad_configuration(application)
