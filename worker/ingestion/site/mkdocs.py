"""A site of MkDocs: every page below its docs folder that its config does not exclude."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from shared.models import PageFault
from worker.ingestion.globs import Globs, anchored
from worker.ingestion.routes import FixedRoute, is_web_address, joined, reader_url
from worker.ingestion.site.files import Config, Unreadable, below, find_config, is_file, read_text, relative_to
from worker.ingestion.site.mkdocs_config import CONFIG_NAMES, BrokenConfig, MkDocsConfig, read_config
from worker.ingestion.site.profile import SiteOptions, SitePage, hiding_flags

#: Where repositories keep their site.
SITE_FOLDERS: Final = ("docs", "docs/en", "documentation", "site", "website")
#: Configs that inherit from each other.
MAX_INHERITED: Final = 5
#: What MkDocs never publishes; hidden files are not looked at in the first place.
ALWAYS_EXCLUDED: Final = ("/templates/",)
PAGE_ENDING: Final = ".md"


@dataclass(frozen=True, slots=True)
class MkDocsSite:
    """The docs folder of a site, laid out."""

    root: Path
    profile: str
    faults: tuple[PageFault, ...]
    #: Relative to the content root; None if it does not lie below it.
    folder: str | None
    config: MkDocsConfig
    #: Address of the site; None if it is not known.
    home: str | None
    options: SiteOptions
    #: Folders of snippets, relative to the content root.
    snippets: tuple[str, ...] = ()
    endings: tuple[str, ...] = (PAGE_ENDING,)

    def page(self, path: str) -> SitePage | None:
        source = None if self.folder is None else below(self.folder, path)
        if source is None or not source.endswith(PAGE_ENDING) or self._is_excluded(source):
            return None
        parent, name = PurePosixPath(source).parent, PurePosixPath(source).stem
        if name == "README" and self._has_index(parent / f"index{PAGE_ENDING}"):
            return None
        name = "index" if name == "README" else name
        address = reader_url(path) if self.home is None else joined(self.home, _address(self.config, parent, name))
        return SitePage(
            path=path,
            route=FixedRoute(address, _label(parent, name)),
            dialect="mkdocs",
            title=self.config.titles.get(source),
            hidden_by=hiding_flags(self.options),
            include_folders=self.snippets,
        )

    def _is_excluded(self, source: str) -> bool:
        return is_ignored(source, (*ALWAYS_EXCLUDED, *self.config.excluded))

    def _has_index(self, source: PurePosixPath) -> bool:
        path = PurePosixPath(self.folder or "") / source
        return is_file(self.root, path.as_posix()) and not self._is_excluded(source.as_posix())


def open_mkdocs(root: Path, options: SiteOptions) -> MkDocsSite | None:
    """The site whose config lies in, below or just above the content root."""
    found = find_config(root, CONFIG_NAMES, SITE_FOLDERS, ())
    if found is None:
        return mkdocs_without_config(root, options) if options.profile == "mkdocs" else None
    config, faults = _read(root, found)
    folder = relative_to(root, found.folder, config.docs_dir)
    if folder != "" and relative_to(root, found.folder, "") is None:
        # The config of some other folder: the content root is not its docs folder.
        return mkdocs_without_config(root, options) if options.profile == "mkdocs" else None
    if folder is None:
        faults.append(
            f"the docs in {config.docs_dir!r} lie outside of the content root; let CONTENT_ROOT be the folder above"
        )
    for name in config.unread:
        if name != "site_url" or options.site_url is None:
            advice = "set SITE_URL to what it is" if name == "site_url" else "MkDocs's default is taken"
            faults.append(f"{name} cannot be read without running MkDocs; {advice}")
    home = _home(config, options)
    if home is None and config.site_url is not None:
        faults.append("site_url is no address that begins with https:// or http://; set SITE_URL to what it is")
    elif home is None and "site_url" not in config.unread:
        faults.append("does not say where the site is published; set SITE_URL, so that citations link to its pages")
    shown = "" if folder is None else f"docs in {folder or '.'}, " + _placed(home)
    return MkDocsSite(
        root=root,
        profile=f"MkDocs ({found.shown}): {shown or 'no docs below the content root'}",
        faults=tuple(PageFault(found.shown, fault) for fault in faults),
        folder=folder,
        config=config,
        home=home,
        options=options,
        snippets=tuple(
            folder for path in config.snippets if (folder := relative_to(root, found.folder, path)) is not None
        ),
    )


def mkdocs_without_config(root: Path, options: SiteOptions, folder: str = "") -> MkDocsSite:
    """A folder of pages as MkDocs lays it out by default."""
    config, home = MkDocsConfig(docs_dir="."), _home(MkDocsConfig(), options)
    profile = f"MkDocs (no config found): docs in {folder or '.'}, {_placed(home)}"
    return MkDocsSite(root, profile, (), folder, config, home, options)


def is_ignored(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether the last of the patterns that fits a file excludes it, as in `.gitignore`."""
    ignored = False
    for fits, is_exclusion in _gitignore(patterns):
        if ignored is not is_exclusion and fits.match(path):
            ignored = is_exclusion
    return ignored


@cache
def _gitignore(patterns: tuple[str, ...]) -> tuple[tuple[Globs, bool], ...]:
    rules: list[tuple[Globs, bool]] = []
    for pattern in (pattern.rstrip() for pattern in patterns):
        if not pattern.strip("/!") or pattern.startswith("#"):
            continue
        is_exclusion = not pattern.startswith("!")
        # Braces mean nothing in these patterns.
        glob = pattern.removeprefix("!").removeprefix("\\").replace("{", "[{]")
        is_folder = glob.endswith("/")
        if "/" not in glob.rstrip("/"):
            glob = f"**/{glob}"
        glob = glob.strip("/")
        rules.append((anchored((f"{glob}/**",) if is_folder else (glob, f"{glob}/**")), is_exclusion))
    return tuple(rules)


def _read(root: Path, found: Config) -> tuple[MkDocsConfig, list[str]]:
    """The config with those that it inherits from, or MkDocs's defaults with the reason why."""
    if isinstance(found.text, Unreadable):
        return MkDocsConfig(), [f"{found.text.reason}; the defaults of MkDocs are taken"]
    texts = [found.text]
    try:
        config = read_config(*texts)
        folder = found.folder
        while config.inherits is not None and len(texts) <= MAX_INHERITED:
            path = relative_to(root, folder, config.inherits)
            text = None if path is None else read_text(root, path)
            if path is None or not isinstance(text, str):
                return config, [f"INHERIT: {config.inherits!r} cannot be read below the content root, and is left out"]
            texts.append(text)
            folder = (root / path).parent
            inherits = read_config(text).inherits
            config = replace(read_config(*texts), inherits=inherits)
    except BrokenConfig as error:
        return MkDocsConfig(), [f"cannot be read: {error}; the defaults of MkDocs are taken"]
    return config, []


def _home(config: MkDocsConfig, options: SiteOptions) -> str | None:
    url = options.site_url or config.site_url
    return None if url is None or not is_web_address(url) else joined(url, options.docs_route or "").rstrip("/")


def _address(config: MkDocsConfig, parent: PurePosixPath, name: str) -> str:
    """The path of a page below the site's address."""
    folder = "" if str(parent) == "." else f"{parent}/"
    if not config.directory_urls:
        return f"{folder}{name}.html"
    return folder if name == "index" else f"{folder}{name}/"


def _label(parent: PurePosixPath, name: str) -> str:
    """What MkDocs calls a page without a title."""
    if name == "index" and str(parent) == ".":
        return "Home"
    label = name.replace("-", " ").replace("_", " ")
    return label.capitalize() if label == label.lower() else label


def _placed(home: str | None) -> str:
    return "address not known" if home is None else f"at {home}/"
