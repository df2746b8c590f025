"""What an mkdocs.yml says about its docs. Pure: nothing is built of tags and aliases, only read off the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

import yaml

CONFIG_NAMES: Final = ("mkdocs.yml", "mkdocs.yaml")
#: Collections within each other; a deeply nested navigation has ten.
MAX_DEPTH: Final = 50
#: Extensions of Markdown, and folders of one; more are not looked at.
MAX_EXTENSIONS: Final = 200
MAX_FOLDERS: Final = 20
#: Entries of a navigation; more are not looked at.
MAX_ENTRIES: Final = 100_000

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BrokenConfig(Exception):
    """Raised with the reason, if a text is no config of MkDocs."""


@dataclass(frozen=True, slots=True)
class MkDocsConfig:
    """What matters here of a config, with MkDocs's defaults where it does not say."""

    site_url: str | None = None
    docs_dir: str = "docs"
    directory_urls: bool = True
    #: Patterns of files that are not published, as in `.gitignore`.
    excluded: tuple[str, ...] = ()
    #: Titles that the navigation gives, by path below `docs_dir`.
    titles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Folders that snippets are looked for in, relative to the config's own.
    snippets: tuple[str, ...] = ()
    #: Another config that this one completes.
    inherits: str | None = None
    #: Names of values that cannot be read.
    unread: tuple[str, ...] = ()


def read_config(*texts: str) -> MkDocsConfig:
    """The values of a config; each further text is of a config that it inherits from. Raises BrokenConfig."""
    nodes: dict[str, yaml.Node] = {}
    for text in reversed(texts):
        nodes.update(_top_level(text))
    return _Reading(nodes).config()


def _top_level(text: str) -> dict[str, yaml.Node]:
    try:
        _refuse_deep(text)
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        raise BrokenConfig(f"{problem} (line {mark.line + 1})" if mark else problem) from None
    if not isinstance(root, yaml.MappingNode):
        raise BrokenConfig("it is not a list of `key: value` lines")
    return {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}


def _refuse_deep(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise BrokenConfig(f"it is nested deeper than {MAX_DEPTH} levels")


class _Reading:
    """Reads values off nodes and notes the names of those that cannot be read."""

    def __init__(self, nodes: Mapping[str, yaml.Node]) -> None:
        self._nodes = nodes
        self._unread: list[str] = []

    def config(self) -> MkDocsConfig:
        excluded = [line for key in ("exclude_docs", "draft_docs") for line in (self._text(key) or "").splitlines()]
        return MkDocsConfig(
            site_url=(self._text("site_url") or "").rstrip("/") or None,
            docs_dir=self._text("docs_dir") or "docs",
            directory_urls=(self._text("use_directory_urls") or "true").lower() not in ("false", "no", "off"),
            excluded=tuple(excluded),
            titles=MappingProxyType(dict(_titles(self._nodes.get("nav")))),
            snippets=_snippet_folders(self._nodes.get("markdown_extensions")),
            inherits=self._text("INHERIT"),
            unread=tuple(self._unread),
        )

    def _text(self, key: str) -> str | None:
        """A scalar as it is written. Of `!ENV [NAME, default]`, the default; of what has another tag, none."""
        node = self._nodes.get(key)
        if isinstance(node, yaml.SequenceNode) and node.tag == "!ENV" and len(node.value) > 1:
            node = node.value[-1]
        if isinstance(node, yaml.ScalarNode) and not node.tag.startswith("!"):
            return None if node.tag.endswith(":null") else str(node.value)
        if node is not None:
            self._unread.append(key)
        return None


def _titles(nav: yaml.Node | None) -> dict[str, str]:
    """Titles of a navigation: the first of each page, as MkDocs has it."""
    titles: dict[str, str | None] = {}
    waiting: list[yaml.Node] = [nav] if nav is not None else []
    for _ in range(MAX_ENTRIES):
        if not waiting:
            break
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(list(islice(node.value, MAX_ENTRIES - len(waiting)))))
        elif isinstance(node, yaml.ScalarNode):
            titles.setdefault(_path(node.value), None)
        elif isinstance(node, yaml.MappingNode):
            for title, target in node.value:
                if isinstance(target, yaml.ScalarNode):
                    titles.setdefault(_path(target.value), str(title.value).strip() or None)
                else:
                    waiting.append(target)
    return {path: title for path, title in titles.items() if title}


def _snippet_folders(extensions: yaml.Node | None) -> tuple[str, ...]:
    """`base_path` of `pymdownx.snippets`, one folder or several."""
    entries = extensions.value if isinstance(extensions, yaml.SequenceNode) else [extensions]
    for entry in entries[:MAX_EXTENSIONS]:
        base = _child(_child(entry, "pymdownx.snippets"), "base_path")
        if base is not None:
            written = base.value if isinstance(base, yaml.SequenceNode) else [base]
            texts = [node.value for node in written[:MAX_FOLDERS] if isinstance(node, yaml.ScalarNode)]
            # `!relative $config_dir/includes`; what lies relative to `$docs_dir` is found from the page.
            return tuple(text.removeprefix("$config_dir/") for text in texts if text and not text.startswith("$docs"))
    return ()


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in entries if name.value == key), None)


def _path(target: str) -> str:
    return PurePosixPath(target).as_posix()
