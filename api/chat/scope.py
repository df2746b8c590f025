"""Which passages a question may be answered from, in the index's terms."""

from __future__ import annotations

from api.chat.events import Filters
from api.chat.page_address import page_address
from shared.chunk_search import Where
from shared.models import Release
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
