"""What a Docusaurus config says about its docs, read without running it. Pure: text in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from worker.ingestion.site.javascript import UNKNOWN, NotReadable, Object, Unknown, Value, read_exported

CONFIG_NAMES: Final = tuple(f"docusaurus.config.{ending}" for ending in ("ts", "mts", "cts", "js", "mjs", "cjs"))
#: The folder that is the source of the docs that are being worked on; others are copies of it by version.
CURRENT: Final = "current"
DEFAULT_INSTANCE: Final = "default"
#: What Docusaurus takes for pages where the config does not say.
INCLUDED: Final = ("**/*.{md,mdx}",)
EXCLUDED: Final = (
    "**/_*.{js,jsx,ts,tsx,md,mdx}",
    "**/_*/**",
    "**/*.test.{js,jsx,ts,tsx}",
    "**/__tests__/**",
)
#: What the template of a new site has as its `url`: nobody's site.
_PLACEHOLDERS: Final = (
    "https://your-docusaurus-site.example.com",
    "https://your-docusaurus-test-site.com",
)
_CLASSIC: Final = ("classic", "@docusaurus/classic", "@docusaurus/preset-classic", "preset-classic")
_DOCS_PLUGIN: Final = ("content-docs", "@docusaurus/content-docs", "@docusaurus/plugin-content-docs")


@dataclass(frozen=True, slots=True)
class DocsInstance:
    """One set of docs: the options of the docs plugin."""

    id: str = DEFAULT_INSTANCE
    #: Folder, relative to the site's.
    path: str = "docs"
    #: None if it cannot be read.
    route: str | None = "docs"
    include: tuple[str, ...] = INCLUDED
    exclude: tuple[str, ...] = EXCLUDED
    strips_prefixes: bool = True
    last_version: str | None = None
    only_versions: tuple[str, ...] | None = None
    includes_current: bool = True
    is_versioned: bool = True
    #: By version name; None for a path that cannot be read.
    version_paths: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    version_labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Locale:
    """A language of the site."""

    name: str
    #: Folder below `i18n`.
    folder: str
    #: None where the site's own are followed.
    url: str | None = None
    base_url: str | None = None
    #: Whether its folder is looked at; None if that depends on whether it is there, which comes to the same.
    is_translated: bool | None = None


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """What matters here of a config. Every value has Docusaurus's default where the config does not say."""

    #: None if it cannot be read, and where it is the placeholder of a new site.
    url: str | None = None
    base_url: str | None = "/"
    trailing_slash: bool | None = None
    default_locale: str = "en"
    #: The default one among them.
    locales: tuple[Locale, ...] = (Locale("en", "en"),)
    translations: str = "i18n"
    instances: tuple[DocsInstance, ...] = (DocsInstance(),)
    #: Names of values that are there and cannot be read: `url`, `docs.routeBasePath`.
    unread: tuple[str, ...] = ()


def read_config(text: str) -> SiteConfig:
    """The config's values. Raises NotReadable if it exports no object that is written out."""
    return _Reading(read_exported(text)).site()


def _labels(versions: Object) -> Mapping[str, str]:
    """Labels that are written out: they only serve to ask for a version, so that the others are not missed."""
    options = ((name, value) for name, value in versions.items() if isinstance(value, Object))
    labels = ((name, value.value("label")) for name, value in options)
    return {name: label for name, label in labels if isinstance(label, str)}


class _Reading:
    """Reads typed values and notes the names of those that cannot be read."""

    def __init__(self, config: Object) -> None:
        self._config = config
        self._unread: list[str] = []

    def site(self) -> SiteConfig:
        url = self._text(self._config, "url", "url")
        default, locales, translations = self._locales()
        return SiteConfig(
            url=None if url is None or url.rstrip("/") in _PLACEHOLDERS else url.rstrip("/"),
            base_url=self._text(self._config, "baseUrl", "baseUrl", default="/"),
            trailing_slash=self._flag(self._config, "trailingSlash", "trailingSlash"),
            default_locale=default,
            locales=locales,
            translations=translations,
            instances=self._instances(),
            unread=tuple(dict.fromkeys(self._unread)),
        )

    def _locales(self) -> tuple[str, tuple[Locale, ...], str]:
        i18n = self._object(self._config, "i18n", "i18n")
        default = self._text(i18n, "defaultLocale", "i18n.defaultLocale", default="en") or "en"
        names = self._texts(i18n, "locales", "i18n.locales", default=(default,))
        configs = self._object(i18n, "localeConfigs", "i18n.localeConfigs")
        locales = tuple(self._locale(name, configs) for name in dict.fromkeys((default, *names)))
        return default, locales, self._text(i18n, "path", "i18n.path", default="i18n") or "i18n"

    def _locale(self, name: str, configs: Object) -> Locale:
        at = f"i18n.localeConfigs.{name}"
        config = self._object(configs, name, at)
        return Locale(
            name,
            folder=self._text(config, "path", f"{at}.path", default=name) or name,
            url=self._text(config, "url", f"{at}.url"),
            base_url=self._text(config, "baseUrl", f"{at}.baseUrl"),
            is_translated=self._flag(config, "translate", f"{at}.translate"),
        )

    def _instances(self) -> tuple[DocsInstance, ...]:
        """The docs of the classic preset, then those of further plugins."""
        instances: list[DocsInstance] = []
        for name, options in self._entries("presets"):
            if name in _CLASSIC or (isinstance(name, Unknown) and "docs" in options):
                docs = options.value("docs")
                if docs is not False:
                    instances.append(self._instance(self._object(options, "docs", "docs"), "docs"))
        for name, options in self._entries("plugins"):
            if name in _DOCS_PLUGIN or (isinstance(name, Unknown) and {"path", "sidebarPath"} <= options.keys()):
                instances.append(self._instance(options, "plugin-content-docs"))
        if not instances and UNKNOWN in (self._config.value("presets"), self._config.value("plugins")):
            return (DocsInstance(),)
        return tuple({instance.id: instance for instance in instances}.values())

    def _entries(self, key: str) -> list[tuple[Value, Object]]:
        """Names with options: `name`, `[name]`, `[name, {...}]`; what is switched off with `false` is none."""
        value = self._config.value(key)
        if isinstance(value, Unknown):
            self._unread.append(key)
        entries: list[tuple[Value, Object]] = []
        for entry in value if isinstance(value, list) else []:
            name, options, *_ = [*entry, None, None] if isinstance(entry, list) else [entry, None]
            if name is not None and name is not False:
                entries.append((name, options if isinstance(options, Object) else Object()))
                if isinstance(options, Unknown) and name in (*_CLASSIC, *_DOCS_PLUGIN):
                    self._unread.append(f"the options of {name}")
        return entries

    def _instance(self, options: Object, at: str) -> DocsInstance:
        versions = self._object(options, "versions", f"{at}.versions")
        parser = options.value("numberPrefixParser")
        if isinstance(parser, Unknown):
            self._unread.append(f"{at}.numberPrefixParser")
        route = self._text(options, "routeBasePath", f"{at}.routeBasePath", default="docs")
        return DocsInstance(
            id=self._text(options, "id", f"{at}.id", default=DEFAULT_INSTANCE) or DEFAULT_INSTANCE,
            path=self._text(options, "path", f"{at}.path", default="docs") or "docs",
            route=route,
            include=self._texts(options, "include", f"{at}.include", default=INCLUDED),
            exclude=self._texts(options, "exclude", f"{at}.exclude", default=EXCLUDED),
            strips_prefixes=parser is not False,
            last_version=self._text(options, "lastVersion", f"{at}.lastVersion"),
            only_versions=self._texts(options, "onlyIncludeVersions", f"{at}.onlyIncludeVersions", default=()) or None,
            includes_current=self._flag(options, "includeCurrentVersion", f"{at}.includeCurrentVersion") is not False,
            is_versioned=self._flag(options, "disableVersioning", f"{at}.disableVersioning") is not True,
            version_paths=self._version_paths(versions, f"{at}.versions"),
            version_labels=_labels(versions),
        )

    def _version_paths(self, versions: Object, at: str) -> Mapping[str, str | None]:
        found: dict[str, str | None] = {}
        for name in versions:
            options = self._object(versions, name, f"{at}.{name}")
            if "path" in options:
                found[name] = self._text(options, "path", f"{at}.{name}.path")
        return found

    def _text(self, owner: Object, key: str, name: str, default: str | None = None) -> str | None:
        """A string; the default if it is not there. None, and a note, if it cannot be read."""
        value = owner.value(key)
        if isinstance(value, str):
            return value
        if value is None:
            return default
        self._unread.append(name)
        return None

    def _flag(self, owner: Object, key: str, name: str) -> bool | None:
        value = owner.value(key)
        if value is None or isinstance(value, bool):
            return value
        self._unread.append(name)
        return None

    def _texts(self, owner: Object, key: str, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = owner.value(key)
        if value is None:
            return default
        texts = tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
        if not isinstance(value, list) or len(texts) < len(value):
            self._unread.append(name)
        return texts or default

    def _object(self, owner: Object, key: str, name: str) -> Object:
        value = owner.value(key)
        if isinstance(value, Object):
            return value
        if isinstance(value, Unknown):
            self._unread.append(name)
        return Object()


__all__ = ["CONFIG_NAMES", "CURRENT", "DocsInstance", "Locale", "NotReadable", "SiteConfig", "read_config"]
