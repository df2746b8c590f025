"""What Lectern relies on in Qdrant, on everything that it may run on. See conftest.py for what that is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.contract.conftest import SERVERS

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
NewName = Callable[[], str]

DENSE = models.VectorParams(size=4, distance=models.Distance.COSINE)
WINDOWS = models.VectorParams(
    size=4,
    distance=models.Distance.COSINE,
    multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
)
BM25 = {"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)}

X, Y, Z = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]
XY = [0.8, 0.6, 0.0, 0.0]


def but_local(why: str) -> pytest.MarkDecorator:
    """Run the test on local mode as well, and expect it to fail there for this reason."""
    local = pytest.param("local", marks=pytest.mark.xfail(reason=why, strict=True))
    return pytest.mark.parametrize("client", [*SERVERS, local], indirect=True)


def sparse(**weights: float) -> models.SparseVector:
    """`sparse(t1=2.0)`: the term 1 with the weight 2."""
    return models.SparseVector(indices=[int(term[1:]) for term in weights], values=list(weights.values()))


def field(key: str, value: bool | int | str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def ids(points: Sequence[models.ScoredPoint | models.Record]) -> list[Any]:
    return [point.id for point in points]


def matching(client: QdrantClient, name: str, *must: Any, **parts: Any) -> list[Any]:
    """Ids of the points that a filter lets through."""
    chosen = models.Filter(must=list(must) or None, **parts)
    return ids(client.scroll(name, scroll_filter=chosen, limit=100)[0])


@pytest.fixture
def hybrid(client: QdrantClient, new_name: NewName) -> str:
    """A collection with a dense vector, a multivector and BM25."""
    name = new_name()
    client.create_collection(name, vectors_config={"dense": DENSE, "windows": WINDOWS}, sparse_vectors_config=BM25)
    return name


@pytest.fixture
def three(client: QdrantClient, hybrid: str) -> str:
    """Three points; by `dense` and `bm25`, 1 is nearest to X and to the term 1, and 3 shares neither."""
    client.upsert(
        hybrid,
        [
            models.PointStruct(id=1, vector={"dense": X, "bm25": sparse(t1=1.0)}, payload={"n": 1, "kind": "a"}),
            models.PointStruct(
                id=2, vector={"dense": XY, "bm25": sparse(t1=0.2, t2=1.0)}, payload={"n": 2, "kind": "a"}
            ),
            models.PointStruct(id=3, vector={"dense": Z, "bm25": sparse(t3=1.0)}, payload={"n": 3, "kind": "b"}),
        ],
    )
    return hybrid


class TestServer:
    def test_clients_are_told_a_version_that_they_know(self, rest_client: QdrantClient) -> None:
        told = rest_client.info()
        assert told.title.startswith("qdrant")
        assert told.version.startswith("1.20.")


class TestCollections:
    def test_a_collection_describes_itself(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        assert client.create_collection(
            name,
            vectors_config={"dense": DENSE, "windows": WINDOWS},
            sparse_vectors_config=BM25,
            metadata={"model": "minilm", "size": 4},
        )
        info = client.get_collection(name)
        assert isinstance(info.config.params.vectors, dict)
        assert info.config.params.vectors["dense"].size == 4
        assert info.config.params.vectors["dense"].distance == models.Distance.COSINE
        assert info.config.params.vectors["windows"].multivector_config == WINDOWS.multivector_config
        assert info.config.params.sparse_vectors is not None
        assert info.config.params.sparse_vectors["bm25"].modifier == models.Modifier.IDF
        assert info.config.metadata == {"model": "minilm", "size": 4}
        assert info.config.hnsw_config.m > 0
        assert info.points_count == 0
        assert info.status == models.CollectionStatus.GREEN

    def test_the_number_of_points_is_told(self, client: QdrantClient, three: str) -> None:
        assert client.get_collection(three).points_count == 3

    def test_metadata_is_merged(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        client.create_collection(name, vectors_config=DENSE, metadata={"a": 1, "b": 1})
        client.update_collection(name, metadata={"b": 2, "c": 3})
        assert client.get_collection(name).config.metadata == {"a": 1, "b": 2, "c": 3}

    def test_null_removes_a_key_of_the_metadata(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        client.create_collection(name, vectors_config=DENSE, metadata={"a": 1, "b": 1})
        client.update_collection(name, metadata={"a": None})
        assert client.get_collection(name).config.metadata == {"b": 1}

    def test_null_that_is_there_stays_when_other_keys_change(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        client.create_collection(name, vectors_config=DENSE, metadata={"a": None})
        client.update_collection(name, metadata={"b": 1})
        assert client.get_collection(name).config.metadata == {"a": None, "b": 1}

    def test_collections_are_listed_until_they_are_deleted(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        assert not client.collection_exists(name)
        client.create_collection(name, vectors_config=DENSE)
        assert client.collection_exists(name)
        assert name in [each.name for each in client.get_collections().collections]
        assert client.delete_collection(name)
        assert not client.collection_exists(name)
        assert name not in [each.name for each in client.get_collections().collections]

    def test_deleting_what_is_not_there_is_no_error(self, client: QdrantClient, new_name: NewName) -> None:
        assert not client.delete_collection(new_name())

    def test_a_collection_made_anew_under_an_old_name_is_empty(self, client: QdrantClient, three: str) -> None:
        client.delete_collection(three)
        client.create_collection(three, vectors_config=DENSE)
        assert client.count(three).count == 0

    def test_a_second_collection_of_a_name_is_refused(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        with pytest.raises(UnexpectedResponse, match="already exists") as refusal:
            rest_client.create_collection(name, vectors_config=DENSE)
        assert refusal.value.status_code == 409

    def test_a_missing_collection_is_named(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        for ask in (
            lambda: rest_client.get_collection(name),
            lambda: rest_client.count(name),
            lambda: rest_client.upsert(name, [models.PointStruct(id=1, vector=X)]),
            lambda: rest_client.query_points(name, query=X),
        ):
            with pytest.raises(UnexpectedResponse, match=f"Collection `{name}` doesn") as refusal:
                ask()
            assert refusal.value.status_code == 404

    @pytest.mark.parametrize("name", ["a*b", "a|b", "a<b", "x" * 256, "tab\tname"])
    def test_a_name_that_no_collection_may_have_is_refused(self, rest_client: QdrantClient, name: str) -> None:
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.create_collection(name, vectors_config=DENSE)
        assert refusal.value.status_code in {400, 422}

    def test_a_collection_may_have_one_vector_without_a_name(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        client.create_collection(name, vectors_config=DENSE)
        client.upsert(name, [models.PointStruct(id=1, vector=X), models.PointStruct(id=2, vector=Y)])
        assert ids(client.query_points(name, query=X).points) == [1, 2]
        assert client.retrieve(name, [1], with_vectors=True)[0].vector == pytest.approx(X)
        assert client.get_collection(name).config.params.vectors == DENSE


class TestAliases:
    def make_two(self, client: QdrantClient, new_name: NewName) -> tuple[str, str]:
        """Two collections; the point 1 is in the first, and 2 in the second."""
        first, second = new_name(), new_name()
        for number, name in enumerate((first, second), 1):
            client.create_collection(name, vectors_config=DENSE)
            client.upsert(name, [models.PointStruct(id=number, vector=X, payload={"n": number})])
        return first, second

    def test_an_alias_stands_for_its_collection_in_every_request(self, client: QdrantClient, new_name: NewName) -> None:
        first, alias = self.make_two(client, new_name)[0], new_name()
        client.update_collection_aliases([create_alias(first, alias)])
        client.upsert(alias, [models.PointStruct(id=9, vector=Y, payload={"n": 9})])
        client.set_payload(alias, {"more": True}, points=[9])
        assert client.collection_exists(alias)
        assert client.get_collection(alias).points_count == 2
        assert client.count(alias).count == 2
        assert ids(client.scroll(alias)[0]) == [1, 9]
        assert ids(client.query_points(alias, query=Y, limit=1).points) == [9]
        assert client.retrieve(first, [9])[0].payload == {"n": 9, "more": True}
        client.delete(alias, models.PointIdsList(points=[9]))
        assert client.count(first).count == 1

    def test_one_call_moves_an_alias(self, client: QdrantClient, new_name: NewName) -> None:
        first, second = self.make_two(client, new_name)
        alias = new_name()
        client.update_collection_aliases([create_alias(first, alias)])
        client.update_collection_aliases([delete_alias(alias), create_alias(second, alias)])
        assert ids(client.scroll(alias)[0]) == [2]

    def test_aliases_are_listed(self, client: QdrantClient, new_name: NewName) -> None:
        first, second = self.make_two(client, new_name)
        of_first, of_second = new_name(), new_name()
        client.update_collection_aliases([create_alias(first, of_first), create_alias(second, of_second)])
        told = {each.alias_name: each.collection_name for each in client.get_aliases().aliases}
        assert told[of_first] == first
        assert told[of_second] == second
        listed = client.get_collection_aliases(first).aliases
        assert [each.alias_name for each in listed] == [of_first]

    def test_an_alias_can_be_renamed(self, client: QdrantClient, new_name: NewName) -> None:
        first, old, new = self.make_two(client, new_name)[0], new_name(), new_name()
        client.update_collection_aliases([create_alias(first, old)])
        rename = models.RenameAlias(old_alias_name=old, new_alias_name=new)
        client.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])
        assert ids(client.scroll(new)[0]) == [1]
        assert not client.collection_exists(old)

    def test_a_deleted_collection_takes_its_aliases_along(self, client: QdrantClient, new_name: NewName) -> None:
        first, alias = self.make_two(client, new_name)[0], new_name()
        client.update_collection_aliases([create_alias(first, alias)])
        client.delete_collection(first)
        assert alias not in [each.alias_name for each in client.get_aliases().aliases]

    def test_an_alias_for_a_missing_collection_is_refused(self, rest_client: QdrantClient, new_name: NewName) -> None:
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.update_collection_aliases([create_alias(new_name(), new_name())])
        assert refusal.value.status_code == 404


def create_alias(collection: str, alias: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))


def delete_alias(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


class TestWrites:
    def test_a_point_comes_back_as_it_was_written(self, client: QdrantClient, hybrid: str) -> None:
        payload = {"text": "naïve ☃", "n": -7, "f": 0.5, "yes": True, "no": None, "trail": ["a", ["b"]], "o": {}}
        vector: dict[str, Any] = {"dense": XY, "windows": [X, Y], "bm25": sparse(t7=0.5, t3=1.5)}
        client.upsert(hybrid, [models.PointStruct(id=UUID, vector=vector, payload=payload)])
        point = client.retrieve(hybrid, [UUID], with_vectors=True)[0]
        assert point.id == UUID
        assert point.payload == payload
        assert isinstance(point.vector, dict)
        assert point.vector["dense"] == pytest.approx(XY)
        windows: Any = point.vector["windows"]
        assert windows == [pytest.approx(X), pytest.approx(Y)]
        stored = point.vector["bm25"]
        assert isinstance(stored, models.SparseVector)
        assert dict(zip(stored.indices, stored.values, strict=True)) == {7: 0.5, 3: 1.5}

    def test_an_upsert_says_that_it_is_done(self, client: QdrantClient, hybrid: str) -> None:
        done = client.upsert(hybrid, [models.PointStruct(id=1, vector={"dense": X})], wait=True)
        assert done.status == models.UpdateStatus.COMPLETED

    def test_a_write_without_waiting_is_seen_soon(self, client: QdrantClient, hybrid: str) -> None:
        client.upsert(hybrid, [models.PointStruct(id=1, vector={"dense": X})], wait=False)
        client.upsert(hybrid, [models.PointStruct(id=2, vector={"dense": X})], wait=True)
        assert client.count(hybrid).count == 2

    def test_a_strongly_ordered_write_is_taken(self, client: QdrantClient, hybrid: str) -> None:
        point = models.PointStruct(id=1, vector={"dense": X})
        client.upsert(hybrid, [point], ordering=models.WriteOrdering.STRONG)
        assert client.count(hybrid).count == 1

    def test_an_upsert_replaces_the_whole_point(self, client: QdrantClient, three: str) -> None:
        client.upsert(three, [models.PointStruct(id=1, vector={"dense": Y}, payload={"new": 1})])
        point = client.retrieve(three, [1], with_vectors=True)[0]
        assert point.payload == {"new": 1}
        assert isinstance(point.vector, dict)
        assert set(point.vector) == {"dense"}

    def test_columns_are_written_like_points(self, client: QdrantClient, hybrid: str) -> None:
        client.upsert(
            hybrid,
            models.Batch(
                ids=[1, UUID],
                vectors={"dense": [X, Y], "bm25": [sparse(t1=1.0), sparse(t2=1.0)]},
                payloads=[{"n": 1}, {"n": 2}],
            ),
        )
        points = client.retrieve(hybrid, [1, UUID], with_vectors=["dense"])
        assert {point.id: point.payload for point in points} == {1: {"n": 1}, UUID: {"n": 2}}
        assert ids(client.query_points(hybrid, query=Y, using="dense", limit=1).points) == [UUID]

    def test_many_points_are_uploaded(self, client: QdrantClient, hybrid: str) -> None:
        points = [models.PointStruct(id=n, vector={"dense": XY}, payload={"n": n}) for n in range(250)]
        client.upload_points(hybrid, points, batch_size=64, wait=True)
        assert client.count(hybrid).count == 250

    def test_points_need_no_vector_where_all_are_sparse(self, client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        client.create_collection(name, vectors_config={}, sparse_vectors_config=BM25)
        client.upsert(name, [models.PointStruct(id=1, vector={}, payload={"record": "job"})])
        client.upsert(name, [models.PointStruct(id=2, vector={"bm25": sparse(t1=1.0)}, payload={})])
        assert client.retrieve(name, [1])[0].payload == {"record": "job"}
        assert matching(client, name, field("record", "job")) == [1]
        assert ids(client.query_points(name, query=sparse(t1=1.0), using="bm25").points) == [2]

    def test_points_need_no_vector_beside_others_that_have(self, client: QdrantClient, three: str) -> None:
        client.upsert(three, [models.PointStruct(id=4, vector={}, payload={"record": "page"})])
        assert client.retrieve(three, [4], with_vectors=True)[0].vector == {}
        assert client.count(three).count == 4
        assert 4 not in ids(client.query_points(three, query=X, using="dense", limit=10).points)
        assert matching(client, three, models.HasVectorCondition(has_vector="dense")) == [1, 2, 3]

    def test_insert_only_leaves_what_is_there(self, client: QdrantClient, three: str) -> None:
        points = [models.PointStruct(id=n, vector={"dense": Y}, payload={"n": 99}) for n in (1, 4)]
        client.upsert(three, points, update_mode=models.UpdateMode.INSERT_ONLY)
        assert {p.id: p.payload for p in client.retrieve(three, [1, 4])} == {
            1: {"n": 1, "kind": "a"},
            4: {"n": 99},
        }

    def test_update_only_makes_nothing_new(self, client: QdrantClient, three: str) -> None:
        points = [models.PointStruct(id=n, vector={"dense": Y}, payload={"n": 99}) for n in (1, 4)]
        client.upsert(three, points, update_mode=models.UpdateMode.UPDATE_ONLY)
        assert {p.id: p.payload for p in client.retrieve(three, [1, 4])} == {1: {"n": 99}}

    def test_a_condition_guards_what_is_there(self, client: QdrantClient, three: str) -> None:
        points = [models.PointStruct(id=n, vector={"dense": Y}, payload={"n": 99}) for n in (1, 2)]
        client.upsert(three, points, update_filter=models.Filter(must=[field("n", 2)]))
        assert {p.id: p.payload for p in client.retrieve(three, [1, 2])} == {
            1: {"n": 1, "kind": "a"},
            2: {"n": 99},
        }

    def test_points_are_deleted_by_id_and_by_filter(self, client: QdrantClient, three: str) -> None:
        client.delete(three, models.PointIdsList(points=[1, 77]))
        assert ids(client.scroll(three)[0]) == [2, 3]
        client.delete(three, models.FilterSelector(filter=models.Filter(must=[field("kind", "b")])))
        assert ids(client.scroll(three)[0]) == [2]

    def test_payload_is_set_overwritten_deleted_and_cleared(self, client: QdrantClient, three: str) -> None:
        client.set_payload(three, {"until": 5}, points=[1, 2])
        client.overwrite_payload(three, {"only": 1}, points=[2])
        client.delete_payload(three, ["kind"], points=[1])
        client.clear_payload(three, models.PointIdsList(points=[3]))
        assert {p.id: p.payload for p in client.scroll(three)[0]} == {
            1: {"n": 1, "until": 5},
            2: {"only": 1},
            3: {},
        }

    def test_payload_is_changed_by_filter(self, client: QdrantClient, three: str) -> None:
        chosen = models.Filter(must=[field("kind", "a")])
        client.set_payload(three, {"until": 5}, points=chosen)
        client.delete_payload(three, ["n"], points=chosen)
        assert {p.id: p.payload for p in client.scroll(three)[0]} == {
            1: {"kind": "a", "until": 5},
            2: {"kind": "a", "until": 5},
            3: {"kind": "b", "n": 3},
        }

    def test_payload_is_set_under_a_key(self, client: QdrantClient, three: str) -> None:
        client.set_payload(three, {"state": {"a": 1}}, points=[1])
        client.set_payload(three, {"b": 2}, points=[1], key="state")
        assert client.retrieve(three, [1])[0].payload == {"n": 1, "kind": "a", "state": {"a": 1, "b": 2}}

    def test_one_vector_of_a_point_is_replaced_or_deleted(self, client: QdrantClient, three: str) -> None:
        client.update_vectors(three, [models.PointVectors(id=1, vector={"dense": Y})])
        client.delete_vectors(three, ["bm25"], points=[1])
        point = client.retrieve(three, [1], with_vectors=True)[0]
        assert point.payload == {"n": 1, "kind": "a"}
        assert isinstance(point.vector, dict)
        assert set(point.vector) == {"dense"}
        assert point.vector["dense"] == pytest.approx(Y)

    def test_operations_of_a_batch_are_done_in_order(self, client: QdrantClient, three: str) -> None:
        new = models.PointStruct(id=4, vector={"dense": Y}, payload={"n": 4})
        done = client.batch_update_points(
            three,
            [
                models.UpsertOperation(upsert=models.PointsList(points=[new])),
                models.SetPayloadOperation(set_payload=models.SetPayload(payload={"n": 5}, points=[4, 1])),
                models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["kind"], points=[1])),
                models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"m": 1}, points=[2])),
                models.UpdateVectorsOperation(
                    update_vectors=models.UpdateVectors(
                        points=[models.PointVectors(id=4, vector={"bm25": sparse(t9=1.0)})]
                    )
                ),
                models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[4], vector=["dense"])),
                models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[4])),
                models.DeleteOperation(delete=models.PointIdsList(points=[3])),
            ],
        )
        assert len(done) == 8
        points = {point.id: point for point in client.scroll(three, with_vectors=True)[0]}
        assert {key: point.payload for key, point in points.items()} == {1: {"n": 5}, 2: {"m": 1}, 4: {}}
        assert isinstance(points[4].vector, dict)
        assert set(points[4].vector) == {"bm25"}


class TestRefusedWrites:
    @pytest.mark.parametrize(
        "vector",
        [
            {"dense": [1.0, 0.0]},
            {"nowhere": X},
            {"dense": [X, Y]},
            {"dense": sparse(t1=1.0)},
            {"windows": [X, [1.0]]},
            {"bm25": X},
            {"bm25": models.SparseVector(indices=[1], values=[1.0, 2.0])},
            {"bm25": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])},
            X,
        ],
        ids=["short", "unknown", "many", "sparse", "ragged", "dense", "unequal", "twice", "unnamed"],
    )
    def test_a_vector_that_does_not_fit_is_refused(
        self, rest_client: QdrantClient, new_name: NewName, vector: Any
    ) -> None:
        name = new_name()
        rest_client.create_collection(
            name, vectors_config={"dense": DENSE, "windows": WINDOWS}, sparse_vectors_config=BM25
        )
        good = models.PointStruct(id=1, vector={"dense": X})
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.upsert(name, [good, models.PointStruct(id=2, vector=vector)])
        assert refusal.value.status_code in {400, 422}

    def test_an_id_is_a_number_or_a_uuid(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        for wrong in ("chunk-1", -1):
            with pytest.raises(UnexpectedResponse) as refusal:
                rest_client.upsert(name, [models.PointStruct(id=wrong, vector=X)])
            assert refusal.value.status_code == 400

    def test_the_reason_can_be_read(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.upsert(name, [models.PointStruct(id=1, vector=[1.0])])
        told = refusal.value.structured()
        assert "expected dim: 4, got 1" in told["status"]["error"]


class TestReads:
    def test_pages_follow_each_other(self, client: QdrantClient, hybrid: str) -> None:
        client.upsert(hybrid, [models.PointStruct(id=n, vector={}) for n in range(1, 6)])
        seen: list[Any] = []
        offset = None
        while True:
            page, offset = client.scroll(hybrid, limit=2, offset=offset)
            seen.append(ids(page))
            if offset is None:
                break
        assert seen == [[1, 2], [3, 4], [5]]

    def test_pages_go_on_at_a_uuid(self, client: QdrantClient, hybrid: str) -> None:
        keys = sorted(str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(5))
        client.upsert(hybrid, [models.PointStruct(id=key, vector={}) for key in keys])
        first, offset = client.scroll(hybrid, limit=3)
        second, end = client.scroll(hybrid, limit=3, offset=offset)
        assert sorted(ids(first) + ids(second)) == keys
        assert end is None

    def test_only_what_is_asked_for_is_sent(self, client: QdrantClient, three: str) -> None:
        def read(**how: Any) -> models.Record:
            return client.scroll(three, limit=1, **how)[0][0]

        assert read(with_payload=False).payload is None
        assert read(with_payload=["n"]).payload == {"n": 1}
        assert read(with_payload=models.PayloadSelectorInclude(include=["kind"])).payload == {"kind": "a"}
        assert read(with_payload=models.PayloadSelectorExclude(exclude=["kind"])).payload == {"n": 1}
        assert read().vector is None
        chosen = read(with_vectors=["dense"]).vector
        assert isinstance(chosen, dict)
        assert set(chosen) == {"dense"}

    def test_a_missing_point_is_left_out(self, client: QdrantClient, three: str) -> None:
        assert ids(client.retrieve(three, [2, 77])) == [2]

    def test_one_point_is_fetched_by_its_path(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        rest_client.upsert(name, [models.PointStruct(id=key, vector=X, payload={"k": 1}) for key in (7, UUID)])
        for key in (7, UUID):
            found = rest_client.http.points_api.get_point(name, key).result
            assert found is not None
            assert found.id == key
            assert found.payload == {"k": 1}
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.http.points_api.get_point(name, 8)
        assert refusal.value.status_code == 404

    def test_points_are_counted(self, client: QdrantClient, three: str) -> None:
        assert client.count(three, exact=True).count == 3
        assert client.count(three, models.Filter(must=[field("kind", "a")]), exact=True).count == 2

    def test_a_scroll_follows_a_field(self, client: QdrantClient, three: str) -> None:
        client.create_payload_index(three, "n", models.PayloadSchemaType.INTEGER, wait=True)
        down = models.OrderBy(key="n", direction=models.Direction.DESC)
        assert ids(client.scroll(three, order_by=down)[0]) == [3, 2, 1]
        assert ids(client.scroll(three, order_by=models.OrderBy(key="n", start_from=2))[0]) == [2, 3]

    def test_values_of_a_field_are_counted(self, client: QdrantClient, three: str) -> None:
        client.create_payload_index(three, "kind", models.PayloadSchemaType.KEYWORD, wait=True)
        hits = client.facet(three, "kind", exact=True).hits
        assert [(hit.value, hit.count) for hit in hits] == [("a", 2), ("b", 1)]
        chosen = models.Filter(must=[field("n", 3)])
        assert [hit.value for hit in client.facet(three, "kind", facet_filter=chosen).hits] == ["b"]


class TestFilters:
    @pytest.fixture
    def book(self, client: QdrantClient, hybrid: str) -> str:
        """Points 1 to 4 with payloads of all kinds."""
        payloads: list[dict[str, Any]] = [
            {"text": "install on linux", "since": 1, "until": 9, "draft": True, "at": "2026-01-01T00:00:00Z"},
            {"text": "install on windows", "since": 3, "until": 4, "draft": False, "at": "2026-03-01T00:00:00Z"},
            {"tags": ["a", "b"], "since": 5, "until": 9, "draft": [False, True], "none": None},
            {"tags": [], "parts": [{"of": 1, "size": 1}, {"of": 2, "size": 2}], "since": 2, "score": 0.5},
        ]
        vectors: list[Any] = [{"dense": X}, {"dense": Y}, {"bm25": sparse(t1=1.0)}, {}]
        client.upsert(
            hybrid,
            [
                models.PointStruct(id=n, vector=vector, payload=payload)
                for n, (vector, payload) in enumerate(zip(vectors, payloads, strict=True), 1)
            ],
        )
        return hybrid

    @pytest.mark.parametrize("indexed", [False, True])
    def test_booleans_are_matched(self, client: QdrantClient, book: str, indexed: bool) -> None:
        if indexed:
            client.create_payload_index(book, "draft", models.PayloadSchemaType.BOOL, wait=True)
        assert matching(client, book, field("draft", value=True)) == [1, 3]
        assert matching(client, book, field("draft", value=False)) == [2, 3]

    def test_a_number_is_no_boolean(self, client: QdrantClient, book: str) -> None:
        client.set_payload(book, {"draft": 1}, points=[4])
        assert matching(client, book, field("draft", 1)) == [4]

    def test_releases_are_told_apart_by_ranges(self, client: QdrantClient, book: str) -> None:
        def at(release: int) -> list[Any]:
            return matching(
                client,
                book,
                models.FieldCondition(key="since", range=models.Range(lte=release)),
                models.FieldCondition(key="until", range=models.Range(gt=release)),
            )

        assert [at(0), at(1), at(3), at(4), at(5), at(9)] == [[], [1], [1, 2], [1], [1, 3], []]

    def test_large_numbers_are_compared_exactly(self, client: QdrantClient, book: str) -> None:
        forever = 2**53 - 1
        client.set_payload(book, {"until": forever}, points=[4])
        assert matching(client, book, field("until", forever)) == [4]
        above = models.FieldCondition(key="until", range=models.Range(gt=forever - 1))
        assert matching(client, book, above) == [4]
        assert matching(client, book, models.FieldCondition(key="until", range=models.Range(gt=forever))) == []

    def test_dates_are_compared(self, client: QdrantClient, book: str) -> None:
        later = models.DatetimeRange(gt=datetime(2026, 1, 1, 12, tzinfo=UTC))
        assert matching(client, book, models.FieldCondition(key="at", range=later)) == [2]
        until = models.DatetimeRange(lte=datetime(2026, 1, 1, tzinfo=UTC))
        assert matching(client, book, models.FieldCondition(key="at", range=until)) == [1]

    def test_any_of_several_and_none_of_several(self, client: QdrantClient, book: str) -> None:
        def tags(match: Any) -> list[Any]:
            return matching(client, book, models.FieldCondition(key="tags", match=match))

        assert tags(models.MatchAny(any=["b", "z"])) == [3]
        assert tags(models.MatchAny(any=["z"])) == []
        assert tags(models.MatchExcept(**{"except": ["z"]})) == [3]
        since = models.MatchAny(any=[1, 2])
        assert matching(client, book, models.FieldCondition(key="since", match=since)) == [1, 4]

    def test_what_a_word_begins_with_is_matched_with_and_without_an_index_for_it(
        self, client: QdrantClient, hybrid: str
    ) -> None:
        paths = ["guide/a.md", "guide/b.md", "guide-old/a.md", "Guide/a.md"]
        client.upsert(
            hybrid, [models.PointStruct(id=n, vector={}, payload={"path": path}) for n, path in enumerate(paths)]
        )
        begins = models.FieldCondition(key="path", match=models.MatchPrefix(prefix="guide/"))
        prefixes = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, prefix=True)
        for index in (None, models.PayloadSchemaType.KEYWORD, prefixes):  # each takes the place of the one before
            if index is not None:
                client.create_payload_index(hybrid, "path", index, wait=True)
            assert matching(client, hybrid, begins) == [0, 1]

    def test_words_are_matched_where_they_are_indexed(self, client: QdrantClient, book: str) -> None:
        params = models.TextIndexParams(
            type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD, lowercase=True
        )
        client.create_payload_index(book, "text", params, wait=True)
        both = models.FieldCondition(key="text", match=models.MatchText(text="linux install"))
        assert matching(client, book, both) == [1]

    def test_any_word_is_enough_for_text_any(self, client: QdrantClient, book: str) -> None:
        client.create_payload_index(book, "text", models.PayloadSchemaType.TEXT, wait=True)
        either = models.FieldCondition(key="text", match=models.MatchTextAny(text_any="linux windows"))
        assert matching(client, book, either) == [1, 2]

    def test_empty_and_null_and_missing_are_told_apart(self, client: QdrantClient, book: str) -> None:
        def empty(key: str) -> list[Any]:
            return matching(client, book, models.IsEmptyCondition(is_empty=models.PayloadField(key=key)))

        assert empty("tags") == [1, 2, 4]
        assert empty("none") == [1, 2, 3, 4]
        null = models.IsNullCondition(is_null=models.PayloadField(key="none"))
        assert matching(client, book, null) == [3]

    def test_vectors_are_asked_for_by_name(self, client: QdrantClient, book: str) -> None:
        assert matching(client, book, models.HasVectorCondition(has_vector="dense")) == [1, 2]
        assert matching(client, book, models.HasVectorCondition(has_vector="bm25")) == [3]

    def test_points_are_chosen_by_id(self, client: QdrantClient, book: str) -> None:
        assert matching(client, book, models.HasIdCondition(has_id=[2, 4, UUID])) == [2, 4]

    def test_a_nested_filter_looks_at_one_element_at_a_time(self, client: QdrantClient, book: str) -> None:
        def parts(of: int, size: int) -> list[Any]:
            inside = models.Filter(must=[field("of", of), field("size", size)])
            nested = models.Nested(key="parts", filter=inside)
            return matching(client, book, models.NestedCondition(nested=nested))

        assert parts(1, 1) == [4]
        assert parts(1, 2) == []

    def test_conditions_are_combined(self, client: QdrantClient, book: str) -> None:
        one, two, three = field("since", 1), field("since", 2), field("since", 3)
        assert matching(client, book, should=[one, two]) == [1, 4]
        assert matching(client, book, must_not=[one, two]) == [2, 3]
        assert matching(client, book, models.Filter(should=[one, two]), field("until", 9)) == [1]
        least = models.MinShould(conditions=[one, field("draft", value=True), three], min_count=2)
        assert matching(client, book, min_should=least) == [1]

    def test_one_condition_needs_no_list(self, client: QdrantClient, book: str) -> None:
        chosen = models.Filter(must=field("since", 1))
        assert ids(client.scroll(book, scroll_filter=chosen)[0]) == [1]

    def test_values_are_counted_in_a_condition(self, client: QdrantClient, book: str) -> None:
        two = models.FieldCondition(key="tags", values_count=models.ValuesCount(gte=2))
        assert matching(client, book, two) == [3]


class TestIndexes:
    def test_indexes_are_shown_and_deleted(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        params = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True)
        rest_client.create_payload_index(name, "record", models.PayloadSchemaType.KEYWORD, wait=True)
        rest_client.create_payload_index(name, "since", params, wait=True)
        rest_client.upsert(name, [models.PointStruct(id=1, vector=X, payload={"record": "chunk"})])
        schema = rest_client.get_collection(name).payload_schema
        assert schema["record"].data_type == models.PayloadSchemaType.KEYWORD
        assert schema["record"].points == 1
        assert schema["since"].data_type == models.PayloadSchemaType.INTEGER
        assert isinstance(schema["since"].params, models.IntegerIndexParams)
        assert schema["since"].params.range is True
        rest_client.delete_payload_index(name, "record", wait=True)
        assert set(rest_client.get_collection(name).payload_schema) == {"since"}

    @pytest.mark.parametrize("schema", list(models.PayloadSchemaType))
    def test_every_type_of_index_can_be_made_twice(
        self, client: QdrantClient, three: str, schema: models.PayloadSchemaType
    ) -> None:
        for _ in range(2):
            client.create_payload_index(three, "field", schema, wait=True)
        assert client.count(three).count == 3

    def test_order_needs_an_index(self, rest_client: QdrantClient, new_name: NewName) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config=DENSE)
        with pytest.raises(UnexpectedResponse, match="index") as refusal:
            rest_client.scroll(name, order_by="n")
        assert refusal.value.status_code == 400


class TestQueries:
    def test_the_nearest_come_first(self, client: QdrantClient, three: str) -> None:
        points = client.query_points(three, query=X, using="dense").points
        assert ids(points) == [1, 2, 3]
        assert [point.score for point in points] == pytest.approx([1.0, 0.8, 0.0], abs=1e-6)
        assert points[0].payload == {"n": 1, "kind": "a"}

    def test_limit_offset_and_threshold_cut_the_list(self, client: QdrantClient, three: str) -> None:
        def find(**how: Any) -> list[Any]:
            return ids(client.query_points(three, query=X, using="dense", **how).points)

        assert find(limit=2) == [1, 2]
        assert find(limit=2, offset=1) == [2, 3]
        assert find(score_threshold=0.5) == [1, 2]

    def test_a_filter_is_applied_before_the_limit(self, client: QdrantClient, three: str) -> None:
        chosen = models.Filter(must=[field("kind", "b")])
        assert ids(client.query_points(three, query=X, using="dense", query_filter=chosen, limit=1).points) == [3]

    def test_what_is_sent_with_a_hit_can_be_chosen(self, client: QdrantClient, three: str) -> None:
        hit = client.query_points(
            three, query=X, using="dense", limit=1, with_payload=["n"], with_vectors=["bm25"]
        ).points[0]
        assert hit.payload == {"n": 1}
        assert isinstance(hit.vector, dict)
        assert set(hit.vector) == {"bm25"}
        bare = client.query_points(three, query=X, using="dense", limit=1, with_payload=False).points[0]
        assert bare.payload is None
        assert bare.vector is None

    def test_the_best_window_counts(self, client: QdrantClient, hybrid: str) -> None:
        windows = {1: [Z, XY], 2: [Z], 3: [Z, Z, X]}
        points = [models.PointStruct(id=n, vector={"windows": rows}) for n, rows in windows.items()]
        client.upsert(hybrid, points)
        found = client.query_points(hybrid, query=[X], using="windows").points
        assert ids(found) == [3, 1, 2]
        assert [point.score for point in found] == pytest.approx([1.0, 0.8, 0.0], abs=1e-6)

    @but_local("takes a plain vector for plain vectors only")
    def test_a_plain_vector_asks_a_multivector(self, client: QdrantClient, hybrid: str) -> None:
        client.upsert(hybrid, [models.PointStruct(id=1, vector={"windows": [Z, XY]})])
        found = client.query_points(hybrid, query=X, using="windows").points
        assert [point.score for point in found] == pytest.approx([0.8], abs=1e-6)

    def test_rare_words_weigh_more(self, client: QdrantClient, hybrid: str) -> None:
        terms = [sparse(t1=1.0), sparse(t1=1.0), sparse(t1=1.0), sparse(t2=1.0)]
        client.upsert(hybrid, [models.PointStruct(id=n, vector={"bm25": vector}) for n, vector in enumerate(terms)])
        found = client.query_points(hybrid, query=sparse(t1=1.0, t2=1.0), using="bm25").points
        assert found[0].id == 3
        assert found[0].score > found[1].score > 0
        assert len(found) == 4

    def test_only_points_that_share_a_term_are_found(self, client: QdrantClient, three: str) -> None:
        assert ids(client.query_points(three, query=sparse(t2=1.0), using="bm25").points) == [2]

    def hybrid_prefetch(self) -> list[models.Prefetch]:
        return [
            models.Prefetch(query=X, using="dense", limit=3),
            models.Prefetch(query=sparse(t2=1.0), using="bm25", limit=3),
        ]

    def test_ranks_are_fused(self, client: QdrantClient, three: str) -> None:
        fusion = models.FusionQuery(fusion=models.Fusion.RRF)
        found = client.query_points(three, prefetch=self.hybrid_prefetch(), query=fusion).points
        # By rank, from 0, with k = 2: 1/(2+1) + 1/(2+0) for the point 2.
        assert {p.id: round(p.score, 4) for p in found} == {2: 0.8333, 1: 0.5, 3: 0.25}

    def test_ranks_are_fused_with_weights(self, client: QdrantClient, three: str) -> None:
        def best(weights: list[float]) -> Any:
            query = models.RrfQuery(rrf=models.Rrf(k=60, weights=weights))
            return client.query_points(three, prefetch=self.hybrid_prefetch(), query=query).points[0]

        assert best([1.0, 1.0]).id == 2
        assert best([1.0, 0.0]).id == 1

    def test_scores_are_fused_by_their_distribution(self, client: QdrantClient, three: str) -> None:
        fusion = models.FusionQuery(fusion=models.Fusion.DBSF)
        found = client.query_points(three, prefetch=self.hybrid_prefetch(), query=fusion).points
        assert ids(found) == [2, 1, 3]
        assert found[0].score > found[1].score > found[2].score

    def test_a_filter_around_a_fusion_reaches_inside(self, client: QdrantClient, three: str) -> None:
        fusion = models.FusionQuery(fusion=models.Fusion.RRF)
        prefetch = [models.Prefetch(query=X, using="dense", limit=1)]
        chosen = models.Filter(must=[field("n", 3)])
        found = client.query_points(three, prefetch=prefetch, query=fusion, query_filter=chosen).points
        assert ids(found) in ([3], [])

    def test_a_prefetch_has_its_own_filter_and_limit(self, client: QdrantClient, three: str) -> None:
        fusion = models.FusionQuery(fusion=models.Fusion.RRF)
        prefetch = [
            models.Prefetch(query=X, using="dense", limit=1),
            models.Prefetch(query=X, using="dense", filter=models.Filter(must=[field("kind", "b")])),
        ]
        found = client.query_points(three, prefetch=prefetch, query=fusion).points
        assert sorted(ids(found)) == [1, 3]

    def test_prefetches_nest(self, client: QdrantClient, three: str) -> None:
        inner = models.Prefetch(query=X, using="dense", limit=2)
        outer = models.Prefetch(prefetch=[inner], query=Z, using="dense", limit=2)
        found = client.query_points(three, prefetch=outer, query=sparse(t2=1.0), using="bm25").points
        assert ids(found) == [2]

    def test_a_point_is_asked_with_and_not_found_itself(self, client: QdrantClient, three: str) -> None:
        assert ids(client.query_points(three, query=1, using="dense").points) == [2, 3]

    def test_without_a_query_points_come_by_id(self, client: QdrantClient, three: str) -> None:
        assert ids(client.query_points(three, limit=2).points) == [1, 2]

    def test_a_query_follows_a_field(self, client: QdrantClient, three: str) -> None:
        client.create_payload_index(three, "n", models.PayloadSchemaType.INTEGER, wait=True)
        order = models.OrderByQuery(order_by=models.OrderBy(key="n", direction=models.Direction.DESC))
        assert ids(client.query_points(three, query=order).points) == [3, 2, 1]

    def test_a_batch_answers_in_order(self, client: QdrantClient, three: str) -> None:
        requests = [
            models.QueryRequest(query=Z, using="dense", limit=1, with_payload=True),
            models.QueryRequest(query=X, using="dense", limit=1),
            models.QueryRequest(
                prefetch=self.hybrid_prefetch(), query=models.FusionQuery(fusion=models.Fusion.DBSF), limit=2
            ),
            models.QueryRequest(query=X, using="dense", filter=models.Filter(must=[field("kind", "b")]), limit=1),
        ]
        answers = client.query_batch_points(three, requests)
        assert [ids(answer.points) for answer in answers] == [[3], [1], [2, 1], [3]]
        assert answers[0].points[0].payload == {"n": 3, "kind": "b"}
        assert answers[1].points[0].payload is None

    @but_local("embeds with another library, which is not there")
    def test_the_server_makes_bm25_vectors_of_texts(self, client: QdrantClient, hybrid: str) -> None:
        def document(text: str) -> models.Document:
            return models.Document(text=text, model="qdrant/bm25", options={"language": "english"})

        texts = {1: "installing the package on linux", 2: "releases and their numbers"}
        client.upsert(
            hybrid,
            [models.PointStruct(id=n, vector={"bm25": document(text)}) for n, text in texts.items()],
        )
        found = client.query_points(hybrid, query=document("how do I install it?"), using="bm25").points
        assert ids(found) == [1]

    def test_texts_are_scored_by_a_payload_index(self, client: QdrantClient, hybrid: str) -> None:
        params = models.TextIndexParams(
            type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD, scoring=True
        )
        client.create_payload_index(hybrid, "text", params, wait=True)
        texts = {1: "red apple", 2: "green apple apple", 3: "blue sky"}
        client.upsert(
            hybrid,
            [models.PointStruct(id=n, vector={}, payload={"text": text}) for n, text in texts.items()],
        )
        query = models.TextQuery(text=models.TextQueryInput(query="apple"))
        assert ids(client.query_points(hybrid, query=query, using="text").points) == [2, 1]

    def test_diversity_moves_a_near_double_back(self, client: QdrantClient, hybrid: str) -> None:
        rows = {1: X, 2: [0.99, 0.141, 0.0, 0.0], 3: [0.7, 0.0, 0.714, 0.0]}
        client.upsert(hybrid, [models.PointStruct(id=n, vector={"dense": row}) for n, row in rows.items()])
        query = models.NearestQuery(nearest=X, mmr=models.Mmr(diversity=0.8, candidates_limit=3))
        assert ids(client.query_points(hybrid, query=query, using="dense", limit=2).points) == [1, 3]

    @pytest.mark.parametrize(
        "how",
        [
            {"query": [1.0], "using": "dense"},
            {"query": X, "using": "nowhere"},
            {"query": X},
            {"query": models.FusionQuery(fusion=models.Fusion.RRF)},
            {"query": X, "using": "dense", "limit": 0},
        ],
        ids=["short", "unknown", "unnamed", "nothing to fuse", "no limit"],
    )
    def test_a_query_that_does_not_fit_is_refused(
        self, rest_client: QdrantClient, new_name: NewName, how: dict[str, Any]
    ) -> None:
        name = new_name()
        rest_client.create_collection(name, vectors_config={"dense": DENSE})
        with pytest.raises(UnexpectedResponse) as refusal:
            rest_client.query_points(name, **how)
        assert refusal.value.status_code in {400, 422}


class TestAsync:
    async def test_the_async_client_does_the_same(self, async_client: AsyncQdrantClient) -> None:
        name = f"contract-{uuid.uuid4().hex[:12]}"
        try:
            await async_client.create_collection(name, vectors_config=DENSE)
            await async_client.upsert(name, [models.PointStruct(id=UUID, vector=X, payload={"n": 1})])
            found = await async_client.query_points(name, query=X)
            assert ids(found.points) == [UUID]
            assert (await async_client.count(name)).count == 1
            assert ids((await async_client.scroll(name))[0]) == [UUID]
        finally:
            await async_client.delete_collection(name)
            await async_client.close()
