"""Aliases: a list of actions makes new aliases of the old, all or none of them."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client.http import models as rest

from embedded.qdrant.errors import AlreadyExists, NotFound
from embedded.qdrant.schema import require_name
from embedded.qdrant.state import State


def changed_aliases(state: State, actions: Sequence[rest.AliasOperations]) -> dict[str, str]:
    """Collections by alias after the actions, in order. Creating an alias that exists points it elsewhere."""
    aliases = dict(state.aliases)
    for action in actions:
        match action:
            case rest.CreateAliasOperation(create_alias=new):
                _require_free(state, new.alias_name)
                if new.collection_name not in state.collections:
                    raise NotFound(f"Not found: Collection `{new.collection_name}` doesn't exist!")
                aliases[new.alias_name] = new.collection_name
            case rest.DeleteAliasOperation(delete_alias=old):
                aliases.pop(old.alias_name, None)
            case rest.RenameAliasOperation(rename_alias=names):
                _require_free(state, names.new_alias_name)
                if names.old_alias_name not in aliases:
                    raise NotFound(f"Not found: Alias `{names.old_alias_name}` does not exist!")
                aliases[names.new_alias_name] = aliases.pop(names.old_alias_name)
    return aliases


def _require_free(state: State, alias: str) -> None:
    require_name(alias)
    if alias in state.collections:
        raise AlreadyExists(f"Wrong input: Collection `{alias}` already exists!")
