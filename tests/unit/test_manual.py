"""The manual and `.env.example` against the settings: neither can go stale unnoticed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.main import get_command

from api.errors import CODES
from api.main import create_app
from cli.main import app
from shared.errors import (
    ConfigurationError,
    EmbeddingRejected,
    JobFailed,
    JobStopped,
    LeaseLost,
    LecternError,
    PageError,
)
from shared.settings import Settings, load_settings, variables_of
from worker.ingestion.markup.markdown import parse_markdown

#: These end a process, a job, or a search by meaning; they never end a request.
NEVER_ANSWERED = (ConfigurationError, EmbeddingRejected, JobFailed, JobStopped, LeaseLost, PageError)
ROOT = Path(__file__).parents[2]
FIELDS = sorted(Settings.model_fields)
#: Links to pages of the manual; what has a scheme or begins with a slash leads elsewhere.
LINK = re.compile(r"\]\((?!/)([^)#:\s]*)(?:#([^)\s]*))?\)")
ALIASES = {alias for field in FIELDS for alias in variables_of(field)}


def reference() -> dict[str, str]:
    """The sections of configuration.md that are headed by a variable, by its name."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    parts = re.split(r"^### `(\w+)`$", text, flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^#", body, flags=re.MULTILINE)[0] for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def example_lines() -> list[tuple[str, str]]:
    """The variables of .env.example with the values they stand with."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return re.findall(r"^# ?([A-Z_]+)=(.*)$", text, flags=re.MULTILINE)


def default_of(field: str) -> str | None:
    """A field's default as one would write it into a .env file; None if there is none."""
    return written(Settings.model_fields[field].default)


def written(value: Any) -> str | None:
    if value is None or value == ():
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("field", FIELDS)
def test_the_manual_has_a_section_for_each_setting_with_its_default_and_names(field: str) -> None:
    preferred, *others = variables_of(field)
    section = reference()[preferred]
    default = default_of(field)
    assert section.lstrip().startswith("Default: none." if default is None else f"Default: `{default}`."), preferred
    named = re.search(r"Also read from: ([^.]+)\.", section)
    assert re.findall(r"`(\w+)`", named[1] if named else "") == others, preferred


def test_the_manual_describes_no_setting_that_does_not_exist() -> None:
    assert set(reference()) == {variables_of(field)[0] for field in FIELDS}


def compose_only() -> dict[str, str]:
    """Variables that the Compose file reads and Lectern does not, with their defaults as the manual has them."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|generated)? ?\|", manual("docker.md"), flags=re.MULTILINE)
    return {name: default for name, default in rows if name not in ALIASES}


def test_the_manual_lists_what_the_compose_file_reads_with_its_defaults() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read = dict(re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^}$]*)", text))
    listed = compose_only()
    assert {name: value for name, value in read.items() if name not in ALIASES} == {
        name: value for name, value in listed.items() if name in read
    }
    assert set(listed) - set(read) == {"COMPOSE_PROFILES", "REDIS_PASSWORD"}


def test_the_example_file_holds_each_setting_once_with_its_default() -> None:
    expected = compose_only() | {variables_of(field)[0]: default_of(field) or "" for field in FIELDS}
    lines = example_lines()
    assert dict(lines) == expected
    assert len(lines) == len(expected)


def test_the_example_file_sets_nothing_until_a_line_is_uncommented() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


def test_the_defaults_of_the_example_file_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\n".join(f"{name}={value}" for name, value in example_lines()), encoding="utf-8")
    assert load_settings(file) == load_settings(None)


def test_the_examples_in_the_manual_are_accepted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    examples = [(name, value) for name, value in re.findall(r"`([A-Z_]+)=([^`]+)`", text) if name in ALIASES]
    assert len(examples) > 20
    for name, value in examples:
        file = tmp_path / ".env"
        file.write_text(f"OPENAI_API_KEY=k\nGEMINI_API_KEY=k\n{name}={value}\n", encoding="utf-8")
        load_settings(file)


def test_the_manual_lists_every_code_that_an_answer_can_have() -> None:
    listed = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", manual("api.md"), flags=re.MULTILINE))
    kinds = {kind for kind in {LecternError} | subclasses(LecternError) if not issubclass(kind, NEVER_ANSWERED)}
    missing = {(str(kind.status), kind.code) for kind in kinds} - listed
    assert missing == set()
    assert {code for _, code in listed} <= {kind.code for kind in kinds} | set(CODES.values())


def subclasses(kind: type[LecternError]) -> set[type[LecternError]]:
    found = set(kind.__subclasses__())
    return found.union(*(subclasses(below) for below in found))


def test_the_manual_lists_every_route() -> None:
    routes = create_app(load_settings(None)).openapi()["paths"]
    listed = set(re.findall(r"`(GET|POST|DELETE) ([^`]+)`", manual("api.md").partition("\n## ")[0]))
    expected = {(method.upper(), path) for path, methods in routes.items() for method in methods}
    assert {(method, re.sub(r"\{.*\}", "{}", path)) for method, path in expected} <= {
        (method, re.sub(r"\{.*\}", "{}", path)) for method, path in listed
    }


def test_the_manual_describes_every_command_with_its_options() -> None:
    commands: Any = get_command(app)
    sections = dict(re.findall(r"^## lectern (\w+)\n((?:(?!^## ).*\n)*)", manual("cli.md"), flags=re.MULTILINE))
    assert set(sections) == set(commands.commands)
    everywhere = manual("cli.md").partition("\n## lectern ")[0] + sections["up"]
    for name, command in commands.commands.items():
        for option in (option for parameter in command.params for option in parameter.opts if option[0] == "-"):
            assert f"`{option}" in sections[name] + everywhere, f"lectern {name} {option}"


def manual(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_every_link_inside_the_manual_leads_to_a_heading_that_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str | None]:
    """The anchors of a page's headings, as the published page has them."""
    sections = parse_markdown(page.read_text(encoding="utf-8"))
    return {section.heading.anchor for section in sections if section.heading}
