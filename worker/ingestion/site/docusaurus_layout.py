"""Which folders of a Docusaurus site hold which docs: every version and language, as its plugin for docs finds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from worker.ingestion.globs import anchored
from worker.ingestion.routes import is_web_address, joined
from worker.ingestion.site.docusaurus_config import CURRENT, DEFAULT_INSTANCE, DocsInstance, Locale, SiteConfig
from worker.ingestion.site.files import below, is_file, is_folder, read_text, relative_to
from worker.ingestion.site.profile import ALL, SiteOptions

#: Versions of one set of docs; Docusaurus itself advises against more than ten.
MAX_VERSIONS: Final = 1000
#: Sets of docs times versions times languages: more stand in a short config than fit into memory.
MAX_EDITIONS: Final = 20_000
#: Names that a summary lists of a kind.
MOST_SHOWN: Final = 3
#: The only ones that Docusaurus takes for docs, whatever `include` says.
PAGE_ENDINGS: Final = (".md", ".mdx")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one set of docs."""

    name: str
    #: Part of the address: "" for the one that visitors get first.
    path: str
    #: As visitors see it.
    label: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of one set of docs in one language: what has pages of its own addresses."""

    locale: Locale
    #: Address of the site in this language; None if it is not known.
    home: str | None
    #: Between that and the pages: `docs/next`.
    route: str
    #: Folder of the translated pages, relative to the content root; None if there can be none.
    translated: str | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """One version of one set of docs, in all languages that are wanted."""

    root: Path
    instance: DocsInstance
    version: Version
    #: Folder of its pages in the default language, relative to the content root.
    folder: str
    #: The default one comes first, if it is wanted.
    editions: tuple[Edition, ...]

    @property
    def name(self) -> str:
        return "docs" if self.instance.id == DEFAULT_INSTANCE else self.instance.id

    @property
    def route(self) -> str:
        """Where visitors find it: `/docs/next`."""
        parts = self.editions[0].route.split("/") if self.editions else []
        return "/" + "/".join(part for part in parts if part)

    def place(self, path: str) -> tuple[Edition, str] | None:
        """The edition that shows the file at `path`, and the path below the folder of pages."""
        for edition in self.editions:
            source = None if edition.translated is None else below(edition.translated, path)
            # A translation of nothing is not published.
            if source is not None and self._is_page(source) and is_file(self.root, _under(self.folder, source)):
                return edition, source
        source = below(self.folder, path)
        if source is None or not self._is_page(source):
            return None
        untranslated = (edition for edition in self.editions if not self._has_translation(edition, source))
        first = next(untranslated, None)
        return None if first is None else (first, source)

    def _is_page(self, source: str) -> bool:
        wanted, unwanted = anchored(self.instance.include), anchored(self.instance.exclude)
        return source.endswith(PAGE_ENDINGS) and wanted.match(source) and not unwanted.match(source)

    def _has_translation(self, edition: Edition, source: str) -> bool:
        return edition.translated is not None and is_file(self.root, _under(edition.translated, source))


class Layout:
    """Lays a config out over the files that are there, and collects what is wrong."""

    def __init__(self, root: Path, folder: Path, config: SiteConfig, options: SiteOptions) -> None:
        """`folder` is the site's, absolute; `root` the content root."""
        self._root = root
        self._site = folder
        self._config = config
        self._options = options
        self._versions: dict[str, tuple[Version, ...]] = {}
        self._holds_site = relative_to(root, folder, "") is not None
        #: Whether the content root holds the site, or docs of it: a config beside it may be that of something else.
        self.is_ours = self._holds_site
        self.faults: list[str] = []
        #: Every version of every set of docs that is wanted and lies below the content root, in the config's order.
        self.shelves = self._shelves()

    @property
    def has_versions(self) -> bool:
        """Whether there are versions to tell apart."""
        return any(len(versions) > 1 for versions in self._versions.values())

    @property
    def has_locales(self) -> bool:
        return len(self._config.locales) > 1

    def summary(self) -> str:
        """`docs at /docs, version 2.1 of 3, locale en of 4`"""
        if not self.shelves:
            return "no docs below the content root"
        shown: dict[str, Shelf] = {}
        for shelf in self.shelves:
            if shelf.version.is_last or shelf.instance.id not in shown:
                shown[shelf.instance.id] = shelf
        sets = [f"{shelf.name} at {shelf.route}" for shelf in shown.values()]
        parts = sets if len(sets) <= MOST_SHOWN else [*sets[:MOST_SHOWN], f"{len(sets) - MOST_SHOWN} more sets of docs"]
        if self.has_versions:
            names = [shelf.version.name for shelf in self.shelves]
            total = {version.name for versions in self._versions.values() for version in versions}
            parts.append(_counted("version", names, len(total)))
        if self.has_locales:
            names = [edition.locale.name for shelf in self.shelves for edition in shelf.editions]
            parts.append(_counted("locale", names, len(self._config.locales)))
        return ", ".join(parts)

    def _shelves(self) -> tuple[Shelf, ...]:
        locales = self._wanted_locales()
        if not self._config.instances:
            self.faults.append("has no docs: neither the classic preset nor the docs plugin; no page is indexed")
        shelves: list[Shelf] = []
        most = MAX_EDITIONS // max(len(locales), 1)
        for instance in self._config.instances:
            shelves += self._shelves_of(instance, locales, most - len(shelves))
            if len(shelves) >= most:
                self.faults.append(
                    f"has more than {MAX_EDITIONS:,} versions and languages, and not all are indexed; name those that "
                    "matter in DOCS_VERSIONS and DOCS_LOCALES"
                )
                break
        return tuple(shelves)

    def _shelves_of(self, instance: DocsInstance, locales: Sequence[Locale], most: int) -> list[Shelf]:
        versions = self._versions[instance.id] = self._versions_of(instance)
        folders = {version: self._folder(instance, version.name) for version in versions}
        wanted = self._wanted(versions)
        present = [version for version in wanted if folders[version] is not None]
        others = [version for version in versions if folders[version] is not None]
        self.is_ours = self.is_ours or bool(others)
        if not present and others and not self._options.versions:
            # The content root is the docs folder alone: what is in it is what its owner wants.
            present = others
            self.faults.append(
                f"the content root holds the docs of {others[0].label!r} only, and visitors first get another "
                "version; to index that one, let CONTENT_ROOT be the site's folder"
            )
        elif others and len(present) < len(wanted):
            missing = ", ".join(version.name for version in wanted if version not in present)
            self.faults.append(f"{missing} lies outside of the content root; let CONTENT_ROOT be the site's folder")
        elif not others and self._holds_site:
            self.faults.append(
                f"the docs in {instance.path!r} lie outside of the content root; let CONTENT_ROOT be the folder above"
            )
        shelves = (
            Shelf(self._root, instance, version, folder, self._editions(instance, version, locales))
            for version in present
            if (folder := folders[version]) is not None and self._is_there(folder)
        )
        return list(islice(shelves, most))

    def _is_there(self, folder: str) -> bool:
        if is_folder(self._root, folder):
            return True
        self.faults.append(f"there is no folder {folder!r}, which holds docs by the config; its pages are missing")
        return False

    def _editions(self, instance: DocsInstance, version: Version, locales: Sequence[Locale]) -> tuple[Edition, ...]:
        return tuple(self._edition(instance, version, locale) for locale in locales)

    def _edition(self, instance: DocsInstance, version: Version, locale: Locale) -> Edition:
        plugin = "docusaurus-plugin-content-docs" + ("" if instance.id == DEFAULT_INSTANCE else f"-{instance.id}")
        folder = version.name if version.name == CURRENT else f"version-{version.name}"
        translated = relative_to(
            self._root, self._site, f"{self._config.translations}/{locale.folder}/{plugin}/{folder}"
        )
        return Edition(
            locale=locale,
            home=self._home(locale),
            route=f"{self._route(instance)}/{version.path}",
            translated=None if locale.is_translated is False else translated,
        )

    def _home(self, locale: Locale) -> str | None:
        """Address of the site in a language. The default one has no part of its own in it."""
        part = "" if locale.name == self._config.default_locale else locale.name
        if self._options.site_url is not None:
            return joined(self._options.site_url, part).rstrip("/")
        url = locale.url or self._config.url
        if url is None or self._config.base_url is None or not is_web_address(url):
            return None
        base = f"{self._config.base_url}/{part}" if locale.base_url is None else locale.base_url
        return joined(url, base).rstrip("/")

    def _route(self, instance: DocsInstance) -> str:
        """DOCS_ROUTE is that of the first set of docs; a further one has its own."""
        if self._options.docs_route is not None and instance is self._config.instances[0]:
            return self._options.docs_route
        return "docs" if instance.route is None else instance.route

    def _folder(self, instance: DocsInstance, version: str) -> str | None:
        prefix = "" if instance.id == DEFAULT_INSTANCE else f"{instance.id}_"
        path = instance.path if version == CURRENT else f"{prefix}versioned_docs/version-{version}"
        return relative_to(self._root, self._site, path)

    def _versions_of(self, instance: DocsInstance) -> tuple[Version, ...]:
        """All that are published, newest first, as Docusaurus finds them."""
        names = self._listed(instance) if instance.is_versioned else []
        if instance.includes_current and CURRENT not in names:
            names = [CURRENT, *names]
        if instance.only_versions is not None:
            names = [name for name in names if name in instance.only_versions]
        released = next((name for name in names if name != CURRENT), CURRENT)
        last = instance.last_version or released
        return tuple(self._version(instance, name, is_last=name == last) for name in names)

    def _version(self, instance: DocsInstance, name: str, *, is_last: bool) -> Version:
        default = "" if is_last else "next" if name == CURRENT else name
        path = instance.version_paths.get(name)
        label = instance.version_labels.get(name, "Next" if name == CURRENT else name)
        return Version(name, default if path is None else path, label, is_last)

    def _listed(self, instance: DocsInstance) -> list[str]:
        """The released versions, as `docusaurus docs:version` notes them."""
        name = "versions.json" if instance.id == DEFAULT_INSTANCE else f"{instance.id}_versions.json"
        text = read_text(self._site, name)
        if text is None:
            return []
        try:
            listed = json.loads(text) if isinstance(text, str) else None
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(isinstance(version, str) for version in listed):
            self.faults.append(f"{name} beside it is no list of versions; only the docs in {instance.path!r} are known")
            return []
        return list(dict.fromkeys(listed))[:MAX_VERSIONS]

    def _wanted(self, versions: Sequence[Version]) -> list[Version]:
        """By DOCS_VERSIONS: names, labels or parts of addresses. Docs in one version are always wanted."""
        asked = self._options.versions
        if ALL in asked or len(versions) == 1:
            return list(versions)
        if not asked:
            return [version for version in versions if version.is_last]
        found = [v for v in versions if not {v.name, v.label, v.path.strip("/")}.isdisjoint(asked)]
        if not found and versions:
            known = ", ".join(version.name for version in versions)
            self.faults.append(f"DOCS_VERSIONS names no version of it; there are {known}")
        return found

    def _wanted_locales(self) -> list[Locale]:
        """By DOCS_LOCALES, the default one first."""
        asked, locales = self._options.locales, self._config.locales
        if ALL in asked:
            return list(locales)
        if not asked:
            return list(locales[:1])
        found = [locale for locale in locales if locale.name in asked]
        if not found:
            known = ", ".join(locale.name for locale in locales)
            self.faults.append(f"DOCS_LOCALES names no locale of it; there are {known}")
        return found


def _counted(what: str, names: Sequence[str], total: int) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{what}{'s' * (len(names) > 1)} {', '.join(names[:MOST_SHOWN])}{more} of {total}"


def _under(folder: str, source: str) -> str:
    return f"{folder}/{source}" if folder else source
