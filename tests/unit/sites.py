"""Small sites in a folder, and what Lectern takes them for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worker.ingestion.front_matter import read_front_matter
from worker.ingestion.site.detect import open_site
from worker.ingestion.site.profile import Site, SiteOptions


def write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def site_of(root: Path, options: SiteOptions | None = None) -> Site:
    return open_site(root.resolve(), options or SiteOptions())


def addresses(root: Path, site: Site) -> dict[str, str]:
    """The address of every page, by its path."""
    paths = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    pages = {path: site.page(path) for path in paths}
    return {path: page.route.url(read_front_matter((root / path).read_text())) for path, page in pages.items() if page}


def faults(site: Site) -> str:
    return "\n".join(f"{fault.path}: {fault.reason}" for fault in site.faults)


def version_and_locale(site: Site, path: str) -> tuple[str, str] | None:
    page = site.page(path)
    return (page.version, page.locale) if page else None
