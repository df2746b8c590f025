"""Makes a page that holds the marker kill the process that cuts it into sections, as a crash of the parser would.

Python runs a file of this name at its start wherever the folder is on PYTHONPATH."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

MARKER = "This page kills whoever reads it."
PARSER = ("worker.ingestion.markup.markdown", "parse_markdown")


class Watcher(importlib.abc.MetaPathFinder):
    """Finds the parser's module as Python would, and puts the deadly one in the place of its function."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name == PARSER[0] else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                setattr(module, PARSER[1], deadly(getattr(module, PARSER[1])))

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def deadly(parse: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(parse)
    def parse_or_die(text: str, *more: Any, **options: Any) -> Any:
        if MARKER in text:
            os.kill(os.getpid(), signal.SIGKILL)
        return parse(text, *more, **options)

    return parse_or_die


sys.meta_path.insert(0, Watcher())
