"""Holds the two import tables of the design, and a few house rules, against the code by reading it.

What the imports of a file may be depends on the file alone, so the rules are functions of a path and a source; the
last tests show that each rule would catch its violation.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A file of the package on the left may import these modules of ours, and what lies below them.
PACKAGES = {
    "shared": ("shared",),
    "api": ("api", "shared"),
    "worker": ("worker", "shared"),
    "embedded": ("embedded", "shared.settings", "shared.errors"),
    "cli": ("cli", "shared", "embedded"),
}

#: A library on the left may be imported only below these paths, and never below the excepted ones.
LIBRARIES = {
    "fastapi": (("api", "embedded"), ("api/chat",)),
    "starlette": (("api", "embedded"), ("api/chat",)),
    "celery": (("shared/queue.py", "worker/app.py", "worker/tasks.py"), ()),
    "qdrant_client": (
        (
            "shared/vector_store.py",
            "shared/chunk_collections.py",
            "shared/chunk_search.py",
            "shared/releases.py",
            "shared/schema.py",
            "shared/qdrant_errors.py",
            "shared/qdrant_reads.py",
            "shared/services.py",
            "embedded",
        ),
        (),
    ),
    "openai": (("shared/embeddings.py", "shared/services.py"), ()),
    # What visitors wait for: the tokens of a chat model (`api/chat/openai_model.py` says why it is not the SDK), and
    # reads of the index.
    "aiohttp": (("api/chat/openai_model.py", "shared/transport.py", "shared/qdrant_reads.py"), ()),
}

#: The one file that looks at the environment.
ENVIRONMENT_READER = PurePosixPath("shared/settings.py")
ENVIRONMENT_NAMES = {"environ", "environb", "getenv", "getenvb"}

#: Names that say nothing about what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "managers", "manager", "common"}


def sources() -> Iterator[tuple[PurePosixPath, str]]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield PurePosixPath(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def violations(path: PurePosixPath, source: str) -> list[str]:
    tree = ast.parse(source, str(path))
    found = [
        f"{path}:{line} imports {module}"
        for line, module in imported_modules(path, tree)
        if breaks_package_table(path, module) or breaks_library_table(path, module)
    ]
    if path != ENVIRONMENT_READER:
        found += [f"{path}:{line} reads the environment" for line in environment_reads(tree)]
    return found


def breaks_package_table(path: PurePosixPath, module: str) -> bool:
    if module.partition(".")[0] not in PACKAGES:
        return False
    return not any(is_below(module, allowed, ".") for allowed in PACKAGES[path.parts[0]])


def breaks_library_table(path: PurePosixPath, module: str) -> bool:
    library = module.partition(".")[0]
    if library not in LIBRARIES:
        return False
    allowed, excepted = LIBRARIES[library]
    here = str(path)
    return not any(is_below(here, place, "/") for place in allowed) or any(
        is_below(here, place, "/") for place in excepted
    )


def is_below(name: str, root: str, separator: str) -> bool:
    return name == root or name.startswith(root + separator)


def imported_modules(path: PurePosixPath, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that the file names in an import, wherever in the file that stands, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                package = ".".join(path.parts[: len(path.parts) - level]) if level else ""
                base = ".".join(filter(None, (package, module)))
                # `from shared import settings` imports shared.settings; `from shared.settings import x` does not
                # import a module x, and calling it one changes no verdict.
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def environment_reads(tree: ast.AST) -> Iterator[int]:
    names_of_os = {"os"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os" and alias.asname
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                if name in names_of_os and attribute in ENVIRONMENT_NAMES:
                    yield node.lineno
            case ast.ImportFrom(module="os", names=names):
                if any(alias.name in ENVIRONMENT_NAMES for alias in names):
                    yield node.lineno


def test_the_code_keeps_to_both_import_tables() -> None:
    assert [line for path, source in sources() for line in violations(path, source)] == []


def test_every_package_has_code_to_hold_to_the_tables() -> None:
    assert {path.parts[0] for path, _ in sources()} == set(PACKAGES)


def test_no_module_has_a_name_that_says_nothing() -> None:
    folders = [*PACKAGES, "tests", "benchmarks", "scripts"]
    files = [file.relative_to(ROOT) for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert [file for file in files if {*file.parent.parts, file.stem} & EMPTY_NAMES] == []


def test_requirements_are_hashed_and_name_no_host() -> None:
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, file.name
        requirements = text.replace("\\\n", " ").splitlines()
        unhashed = [line for line in requirements if line and line[0].isalnum() and "--hash=sha256:" not in line]
        assert unhashed == [], file.name


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/jobs.py", "import worker.tasks"),
        ("api/main.py", "from worker import tasks"),
        ("api/main.py", "from cli.main import run"),
        ("worker/app.py", "from api.schemas import Question"),
        ("worker/ingestion/plan.py", "from ...api import schemas"),
        ("embedded/up.py", "from shared.jobs import Job"),
        ("embedded/up.py", "from shared import settings, services"),
        ("embedded/up.py", "def later():\n    import api.main"),
        ("cli/main.py", "from importlib import import_module\nimport_module('worker.app')"),
        ("api/chat/answer.py", "from fastapi import Request"),
        ("shared/errors.py", "import starlette.status"),
        ("worker/ingestion/pipeline.py", "from celery import Task"),
        ("api/routes/chat.py", "from qdrant_client import models"),
        ("worker/ingestion/embed.py", "import openai"),
        ("api/chat/model.py", "from openai import AsyncOpenAI"),
        ("api/chat/answer.py", "import aiohttp"),
        ("cli/main.py", "import os\nprint(os.environ['HOME'])"),
        ("cli/main.py", "import os as system\nsystem.getenv('HOME')"),
        ("shared/logging.py", "from os import environ"),
    ],
)
def test_a_violation_is_caught(path: str, source: str) -> None:
    assert len(violations(PurePosixPath(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("api/main.py", "from fastapi import FastAPI\nfrom shared.settings import Settings"),
        ("shared/embeddings.py", "from openai import AsyncOpenAI"),
        ("api/chat/openai_model.py", "import aiohttp"),
        ("api/chats/main.py", "import fastapi"),
        ("worker/tasks.py", "from celery import Celery\nfrom worker.ingestion import pipeline"),
        ("worker/ingestion/plan.py", "from . import diff\nfrom .. import tasks"),
        ("embedded/up.py", "from shared import errors\nfrom shared.settings import load_settings"),
        ("embedded/qdrant/server.py", "from starlette.applications import Starlette"),
        ("shared/settings.py", "import os\nos.environ"),
        ("embedded/processes.py", "import os\nos.getpid()"),
    ],
)
def test_what_the_tables_allow_passes(path: str, source: str) -> None:
    assert violations(PurePosixPath(path), source) == []
