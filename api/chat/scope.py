"""Which passages a question may be answered from, in the index's terms, and which filters leave none."""

from __future__ import annotations

from dataclasses import asdict

from api.chat.events import Filters
from api.chat.page_address import page_address
from shared.chunk_search import Query, Where
from shared.models import Release, SparseVector
from shared.services import Services


async def scope_of(filters: Filters, release: Release, services: Services) -> Where:
    """A client's filters for one release. A page that the release does not have lets nothing through."""
    prefix = (filters.path or "").removeprefix("./").removeprefix("/")
    return Where(
        version=filters.version or None,
        locale=filters.locale or None,
        prefix=prefix or None,
        paths=await _paths_of(filters.page, release, services) if filters.page else None,
    )


async def _paths_of(page: str, release: Release, services: Services) -> tuple[str, ...]:
    address = page_address(page)
    if address is None:
        return ()
    addresses = address.addresses(services.settings.site_url or "")
    pages = await services.store.pages_known_as(release.collection, release.number, address.paths, addresses)
    named = [page.path for page in pages if page.path == address.given]  # a path says more than an address like it
    return tuple(dict.fromkeys(named or [page.path for page in pages]))


async def unmatched(filters: Filters, release: Release, services: Services) -> dict[str, str]:
    """The filters that nothing in the release matches, by their names: those that leave nothing each by itself, else
    all of them, if they leave nothing together. Raises DependencyDown."""
    named = {name: value for name, value in asdict(filters).items() if value}
    if not named or await _leaves_any(filters, release, services):
        return {}
    alone = {name: Filters(**{name: value}) for name, value in named.items()}
    empty = {name: named[name] for name, one in alone.items() if not await _leaves_any(one, release, services)}
    return empty or named


async def _leaves_any(filters: Filters, release: Release, services: Services) -> bool:
    """Whether a passage gets past the filters: then any vector finds one."""
    spec = await services.store.spec_of(release.collection)
    anything = Query([1.0] + [0.0] * (spec.dimensions - 1), SparseVector([], []))
    where = await scope_of(filters, release, services)
    (found,) = await services.store.search_all(release.collection, release.number, [anything], 1, where)
    return bool(found)
