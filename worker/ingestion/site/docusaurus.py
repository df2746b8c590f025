"""A Docusaurus site: its docs in every version and language that the settings ask for.

The config is read without being run (`docusaurus_config`). The content root is the site's folder, one above it, or the
folder of its docs alone; in the last case the config and the list of versions are read from beside the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.models import PageFault
from worker.ingestion.routes import DocusaurusRoute, is_web_address
from worker.ingestion.site.docusaurus_config import CONFIG_NAMES, DocsInstance, SiteConfig, read_config
from worker.ingestion.site.docusaurus_layout import PAGE_ENDINGS, Layout, Shelf
from worker.ingestion.site.files import Config, Unreadable, find_config
from worker.ingestion.site.javascript import NotReadable
from worker.ingestion.site.profile import SiteOptions, SitePage, hiding_flags

#: Where repositories keep their site.
SITE_FOLDERS: Final = ("website", "site", "docs", "documentation", "docs-site", "www", "apps/docs", "packages/docs")
#: Values without which addresses would be wrong, and the setting that says them instead.
_SETTINGS: Final = {
    "url": "SITE_URL",
    "baseUrl": "SITE_URL",
    "trailingSlash": "SITE_TRAILING_SLASH",
    "docs.routeBasePath": "DOCS_ROUTE",
    "docs.include": "CONTENT_INCLUDE",
    "docs.exclude": "CONTENT_EXCLUDE",
}


@dataclass(frozen=True, slots=True)
class DocusaurusSite:
    """The docs of a site, laid out."""

    profile: str
    faults: tuple[PageFault, ...]
    shelves: tuple[Shelf, ...]
    options: SiteOptions
    trailing_slash: bool | None
    #: Whether there are versions, or languages, to tell apart.
    has_versions: bool
    has_locales: bool
    endings: tuple[str, ...] = PAGE_ENDINGS

    def page(self, path: str) -> SitePage | None:
        for shelf in self.shelves:
            placed = shelf.place(path)
            if placed is None:
                continue
            edition, source = placed
            route = DocusaurusRoute(
                path=path,
                source=source,
                home=edition.home,
                route=edition.route,
                strips_prefixes=shelf.instance.strips_prefixes,
                trailing_slash=self.trailing_slash,
            )
            return SitePage(
                path=path,
                route=route,
                dialect="docusaurus",
                version=shelf.version.name if self.has_versions else "",
                locale=edition.locale.name if self.has_locales else "",
                hidden_by=hiding_flags(self.options),
            )
        return None


def open_docusaurus(root: Path, options: SiteOptions) -> DocusaurusSite | None:
    """The site whose config lies in, below or beside the content root."""
    found = find_config(root, CONFIG_NAMES, SITE_FOLDERS, ("website",))
    if found is not None:
        config, faults = _read(found)
        layout = Layout(root, found.folder, config, options)
        if layout.is_ours:
            faults += [PageFault(found.shown, fault) for fault in (*_unread(config, options), *layout.faults)]
            return _site(found.shown, layout, config, options, tuple(faults))
    # What was found outside is the config of some other folder.
    if options.profile != "docusaurus":
        return None
    config = SiteConfig(instances=(DocsInstance(path="."),))
    return _site("no config found", Layout(root, root, config, options), config, options, ())


def _site(
    shown: str, layout: Layout, config: SiteConfig, options: SiteOptions, faults: tuple[PageFault, ...]
) -> DocusaurusSite:
    return DocusaurusSite(
        profile=f"Docusaurus ({shown}): {layout.summary()}",
        faults=faults,
        # Where one folder lies in another, the inner one knows its pages better.
        shelves=tuple(sorted(layout.shelves, key=lambda shelf: -len(shelf.folder))),
        options=options,
        trailing_slash=config.trailing_slash if options.trailing_slash is None else options.trailing_slash,
        has_versions=layout.has_versions,
        has_locales=layout.has_locales,
    )


def _read(found: Config) -> tuple[SiteConfig, list[PageFault]]:
    """The config, or Docusaurus's defaults with the reason why."""
    advice = "the defaults of Docusaurus are taken; set SITE_URL, and DOCS_ROUTE if the docs are not at /docs"
    if isinstance(found.text, Unreadable):
        return SiteConfig(), [PageFault(found.shown, f"{found.text.reason}; {advice}")]
    try:
        return read_config(found.text), []
    except NotReadable as error:
        return SiteConfig(), [PageFault(found.shown, f"cannot be read without running it: {error}; {advice}")]


def _unread(config: SiteConfig, options: SiteOptions) -> list[str]:
    """What the config leaves open and no setting says."""
    said = {
        "SITE_URL": options.site_url is not None,
        "SITE_TRAILING_SLASH": options.trailing_slash is not None,
        "DOCS_ROUTE": options.docs_route is not None,
    }
    faults: list[str] = []
    for name in config.unread:
        setting = _SETTINGS.get(name)
        if setting is None:
            faults.append(f"{name} cannot be read without running it, and Docusaurus's default is taken")
        elif not said.get(setting, False):
            faults.append(f"{name} cannot be read without running it; set {setting} to what it is")
    if said["SITE_URL"]:
        return faults
    if config.url is not None and not is_web_address(config.url):
        faults.append("url is no address that begins with https:// or http://; set SITE_URL to what it is")
    if config.url is None and "url" not in config.unread:
        faults.append("does not say where the site is published; set SITE_URL, so that citations link to its pages")
    return faults
