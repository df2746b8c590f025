"""The kinds of Markdown that sites are built from: they differ in admonitions, includes and heading ids."""

from __future__ import annotations

from typing import Literal

#: Who turns the page into HTML. `plain` is what code hosts show: GitHub's Markdown and ids.
Dialect = Literal["docusaurus", "mkdocs", "mdbook", "plain"]
