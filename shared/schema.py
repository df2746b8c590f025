"""The schema of the data in Qdrant: which one it is of, and the steps that bring older data up to this version's.

Every collection carries its schema in its metadata; what was made before there was one is of schema 1. A step only
adds, so that processes of the old version go on reading while they are replaced one by one. It is safe to repeat, and
for two processes to do at once. Data of a newer schema than ours is refused: what it means cannot be known here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import SchemaTooNew
from shared.qdrant_errors import qdrant_errors

#: The key in a collection's metadata.
SCHEMA_KEY: Final = "schema"
#: What data without that key is of.
UNMARKED: Final = 1


def records_name(alias: str) -> str:
    """The collection of releases and jobs."""
    return f"{alias}__records"


def is_ours(alias: str, name: str) -> bool:
    """Whether a collection is of this alias: another one's may begin with it, but a specification's name follows."""
    return re.fullmatch(rf"{re.escape(alias)}__[a-z0-9-]+", name) is not None


@dataclass(frozen=True, slots=True)
class Migration:
    """One step, from the schema before to this one."""

    schema: int
    #: Adds what is new; finds the records' collection there.
    apply: Callable[[AsyncQdrantClient, str], Awaitable[None]]


async def _index_states(client: AsyncQdrantClient, alias: str) -> None:
    """Unfinished jobs are found without reading every record."""
    await client.create_payload_index(records_name(alias), "state", field_schema=q.PayloadSchemaType.KEYWORD)


MIGRATIONS: Final = (Migration(2, _index_states),)
SCHEMA: Final = MIGRATIONS[-1].schema


class Schema:
    """The schema of one Lectern's data."""

    def __init__(self, client: AsyncQdrantClient, alias: str) -> None:
        self._client = client
        self._alias = alias
        self._records = records_name(alias)
        #: There is data, and this version can read it.
        self.is_known = False
        #: Why the data cannot be used, for whoever asks how this process is.
        self.fault: str | None = None

    async def check(self) -> None:
        """Raise SchemaTooNew for data that this version does not know.

        Asked until there is data, then never again: a process that runs goes on while newer ones take its place.
        """
        if not self.is_known:
            self._require_known(await self._found())

    async def migrate(self) -> None:
        """Bring data of an older schema to this one. Raises SchemaTooNew; does nothing where nothing is older."""
        found = await self._found()
        self._require_known(found)
        older = [name for name, schema in found.items() if schema < SCHEMA]
        if not older or self._records not in found:
            return
        with qdrant_errors():
            for migration in MIGRATIONS:
                if migration.schema > min(found.values()):
                    await migration.apply(self._client, self._alias)
            # The mark comes after the steps: who is killed between them leaves data that is still to be migrated.
            for name in older:
                await self._client.update_collection(name, metadata={SCHEMA_KEY: SCHEMA})

    def _require_known(self, found: Mapping[str, int]) -> None:
        newest = max(found.values(), default=UNMARKED)
        if newest > SCHEMA:
            self.fault = (
                f"the data of {self._alias} is of schema {newest}, and this version of Lectern knows schemas up to "
                f"{SCHEMA}; run the version that wrote it, or a later one"
            )
            raise SchemaTooNew(self.fault)
        self.fault = None
        self.is_known = bool(found)

    async def _found(self) -> dict[str, int]:
        """The schema of each of our collections, by its name."""
        found: dict[str, int] = {}
        with qdrant_errors():
            for name in [each.name for each in (await self._client.get_collections()).collections]:
                if not is_ours(self._alias, name):
                    continue
                try:
                    metadata = (await self._client.get_collection(name)).config.metadata or {}
                except UnexpectedResponse as error:
                    if error.status_code != 404:  # dropped just now
                        raise
                else:
                    found[name] = metadata.get(SCHEMA_KEY, UNMARKED)
        return found
