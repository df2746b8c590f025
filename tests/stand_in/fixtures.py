"""Fixtures around the stand-in; `tests/conftest.py` makes them known."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.stand_in.control import Provider
from tests.stand_in.provider import StandInThread

__all__ = ["Provider", "provider", "provider_process", "provider_server", "running_provider"]


@contextmanager
def running_provider() -> Iterator[Provider]:
    """The stand-in on a thread of this process."""
    server = StandInThread()
    control = Provider(server.start())
    try:
        yield control
    finally:
        control.close()
        server.stop()


@contextmanager
def provider_process(host: str = "127.0.0.1") -> Iterator[tuple[Provider, subprocess.Popen[str]]]:
    """The stand-in as a process of its own, which a test may stop or kill."""
    command = [sys.executable, "-m", "tests.stand_in.provider", "--port", "0", "--host", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        control = Provider(int(process.stdout.readline()), host)
        try:
            yield control, process
        finally:
            control.close()
            process.kill()


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Provider]:
    """One stand-in for the whole run."""
    with running_provider() as control:
        yield control


@pytest.fixture
def provider(provider_server: Provider) -> Iterator[Provider]:
    """The stand-in, fresh: no plan, nothing asked yet."""
    provider_server.reset()
    yield provider_server
    provider_server.reset()
