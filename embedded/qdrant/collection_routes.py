"""Routes of collections, aliases and payload indexes."""

from __future__ import annotations

from pydantic import TypeAdapter
from qdrant_client.http import models as rest
from starlette.routing import Route

from embedded.qdrant.answers import Call, endpoint
from embedded.qdrant.errors import BadRequest, NotFound

_CREATE = TypeAdapter(rest.CreateCollection)
_UPDATE = TypeAdapter(rest.UpdateCollection)
_ALIASES = TypeAdapter(rest.ChangeAliasesOperation)
_INDEX = TypeAdapter(rest.CreateFieldIndex)


def list_collections(call: Call) -> object:
    return {"collections": [{"name": name} for name in call.store.state.collections]}


def create_collection(call: Call) -> object:
    call.store.create(call.name, call.parse(_CREATE))
    return True


def get_collection(call: Call) -> object:
    return call.store.info(call.name).model_dump(mode="json", by_alias=True, exclude_none=True)


def update_collection(call: Call) -> object:
    call.store.update(call.name, call.parse(_UPDATE))
    return True


def delete_collection(call: Call) -> object:
    return call.store.delete(call.name)


def collection_exists(call: Call) -> object:
    try:
        call.store.resolve(call.name)
    except NotFound:
        return {"exists": False}
    return {"exists": True}


def change_aliases(call: Call) -> object:
    call.store.change_aliases(call.parse(_ALIASES).actions)
    return True


def list_aliases(call: Call) -> object:
    aliases = call.store.state.aliases.items()
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in aliases]}


def list_collection_aliases(call: Call) -> object:
    wanted = call.store.resolve(call.name)
    aliases = call.store.state.aliases.items()
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in aliases if name == wanted]}


def create_index(call: Call) -> object:
    body = call.parse(_INDEX)
    if body.field_schema is None:
        raise BadRequest("Wrong input: cannot tell the field's type, please give `field_schema`")
    return call.update_result(call.store.create_index(call.name, body.field_name, body.field_schema))


def delete_index(call: Call) -> object:
    return call.update_result(call.store.delete_index(call.name, call.path["field"]))


ROUTES = [
    Route("/collections", endpoint(list_collections), methods=["GET"]),
    Route("/collections/aliases", endpoint(change_aliases), methods=["POST"]),
    Route("/collections/{collection}", endpoint(create_collection), methods=["PUT"]),
    Route("/collections/{collection}", endpoint(get_collection), methods=["GET"]),
    Route("/collections/{collection}", endpoint(update_collection), methods=["PATCH"]),
    Route("/collections/{collection}", endpoint(delete_collection), methods=["DELETE"]),
    Route("/collections/{collection}/exists", endpoint(collection_exists), methods=["GET"]),
    Route("/collections/{collection}/aliases", endpoint(list_collection_aliases), methods=["GET"]),
    Route("/aliases", endpoint(list_aliases), methods=["GET"]),
    Route("/collections/{collection}/index", endpoint(create_index), methods=["PUT"]),
    Route("/collections/{collection}/index/{field:path}", endpoint(delete_index), methods=["DELETE"]),
]
