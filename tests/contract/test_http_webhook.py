"""The webhook: opened by a signature, started by a push to the branch that is indexed, and by nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest

from api.pushes import Delivery, is_of_ref, read_delivery
from api.routes.webhook import MOST_BODY_BYTES
from api.signatures import require_signature
from shared.errors import InvalidInput, Unauthorized
from shared.settings import Settings
from tests.http_api import ADMIN, Client, raw_connection, serving, settings_on
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
SECRET = "a-webhook-secret-for-tests"
KEY = bytes(range(32))
SIGNING_TOKEN = f"whsec_{base64.b64encode(KEY).decode()}"
MAIN = {"ref": "refs/heads/main", "after": "1" * 40, "repository": {"default_branch": "main", "full_name": "a/b"}}
GITLAB_MAIN = {"object_kind": "push", "ref": "refs/heads/main", "project": {"default_branch": "main"}, "repository": {}}


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "index.md").write_text("# Page\n\nText.\n")
    return folder


@pytest.fixture(scope="module")
def client(stores: Stores, docs: Path) -> Iterator[Client]:
    settings = settings_on(stores, content_root=docs, webhook_secret=SECRET, rate_limit_requests=100_000)
    with serving(settings) as client:
        yield client


def github(body: Any = None, event: str = "push", secret: str = SECRET, **headers: str) -> dict[str, Any]:
    """What httpx needs to send a delivery as GitHub does."""
    content = body if isinstance(body, bytes) else json.dumps(MAIN if body is None else body).encode()
    signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    ours = {
        "X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid4()),
        "Content-Type": "application/json",
    }  # fmt: skip
    return {"content": content, "headers": {**ours, **headers}}


def gitlab(body: Any = None, event: str = "Push Hook", **headers: str) -> dict[str, Any]:
    """What httpx needs to send a delivery as GitLab does, with its older kind of secret."""
    content = json.dumps(GITLAB_MAIN if body is None else body).encode()
    ours = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": event, "Content-Type": "application/json"}
    return {"content": content, "headers": {**ours, **headers}}


def standard(content: bytes, sent_at: str, key: bytes = KEY, id_: str = "msg_1") -> dict[str, str]:
    """The headers of a signed delivery of GitLab's."""
    signed = hmac.new(key, f"{id_}.{sent_at}.".encode() + content, hashlib.sha256).digest()
    return {
        "webhook-id": id_, "webhook-timestamp": sent_at, "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }  # fmt: skip


def jobs_of(client: Client) -> list[str]:
    return [task["task_id"] for task in client.get("/ingest/status?limit=1000", headers=ADMIN).json()["tasks"]]


# What starts an ingest


@pytest.mark.parametrize("delivery", [github, gitlab])
def test_a_push_to_the_default_branch_starts_an_ingest_of_everything(
    make_settings: MakeSettings, docs: Path, delivery: Callable[[], dict[str, Any]]
) -> None:
    with serving(make_settings(content_root=docs, webhook_secret=SECRET)) as client:
        response = client.post("/ingest/webhook", **delivery())
        assert response.status_code == 202
        assert response.json()["status"] == "started"
        job = client.get(f"/ingest/status?task_id={response.json()['task_id']}", headers=ADMIN).json()
    assert (job["content_path"], job["metadata"]["force_reindex"]) == (".", False)


def test_a_delivery_that_comes_again_is_the_same_job(client: Client) -> None:
    delivery = github()
    first, again = (client.post("/ingest/webhook", **delivery) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["task_id"] == again.json()["task_id"]
    assert jobs_of(client).count(first.json()["task_id"]) == 1


def test_a_signed_delivery_of_gitlab_s_starts_an_ingest(make_settings: MakeSettings, docs: Path) -> None:
    content = json.dumps(GITLAB_MAIN).encode()
    headers = {"X-Gitlab-Event": "Push Hook", "Content-Type": "application/json"}
    with serving(make_settings(content_root=docs, webhook_secret=SIGNING_TOKEN)) as client:
        good = client.post(
            "/ingest/webhook", content=content, headers=headers | standard(content, str(int(time.time())))
        )
        old = client.post("/ingest/webhook", content=content, headers=headers | standard(content, "1700000000"))
    assert (good.status_code, old.status_code) == (202, 401)
    assert "compare the clocks" in old.json()["error"]


def test_the_form_that_github_sends_by_default_is_read_too(client: Client) -> None:
    content = urlencode({"payload": json.dumps(MAIN)}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/ingest/webhook", **github(content, **kind)).status_code == 202


def test_a_push_of_thousands_of_commits_is_read(client: Client) -> None:
    large = {**MAIN, "commits": [{"message": "x" * 1000}] * 4000}
    assert client.post("/ingest/webhook", **github(large)).status_code == 202


@pytest.mark.parametrize(
    ("wanted", "ref", "status"),
    [
        (None, "refs/heads/main", 202),
        (None, "refs/heads/other", 200),
        (None, "refs/tags/main", 202),
        ("release", "refs/heads/release", 202),
        ("release", "refs/heads/main", 200),
        ("refs/heads/release", "refs/heads/release", 202),
        ("refs/heads/release", "refs/tags/release", 200),
        ("v1.0", "refs/tags/v1.0", 202),
        ("main", "refs/heads/feature/main", 200),
        ("1" * 40, "refs/heads/main", 200),
    ],
)
def test_only_the_ref_that_is_indexed_counts(
    make_settings: MakeSettings, docs: Path, wanted: str | None, ref: str, status: int
) -> None:
    with serving(make_settings(content_root=docs, webhook_secret=SECRET, source_git_ref=wanted)) as client:
        response = client.post("/ingest/webhook", **github({**MAIN, "ref": ref}))
        assert response.status_code == status
        assert len(jobs_of(client)) == (1 if status == 202 else 0)
    if status == 200:
        assert response.json()["message"].startswith(f"ignored: {ref}")


# What does not


@pytest.mark.parametrize(
    ("delivery", "status", "said"),
    [
        (github(event="ping"), "pong", "set up"),
        (github(event="issues"), "ignored", "issues is no push"),
        (github(event=""), "ignored", "unnamed is no push"),
        (github({**MAIN, "deleted": True}), "ignored", "was removed"),
        (github({**MAIN, "after": "0" * 40}), "ignored", "was removed"),
        (gitlab(event="Merge Request Hook"), "ignored", "Merge Request Hook is no push"),
        (gitlab({**GITLAB_MAIN, "object_kind": "repository_update"}, event="System Hook"), "ignored", "no push"),
    ],
)  # fmt: skip
def test_what_is_no_push_is_answered_and_ignored(
    client: Client, delivery: dict[str, Any], status: str, said: str
) -> None:
    before = jobs_of(client)
    response = client.post("/ingest/webhook", **delivery)
    assert (response.status_code, response.json()["status"]) == (200, status)
    assert said in response.json()["message"]
    assert jobs_of(client) == before


UNSIGNED: list[dict[str, Any]] = [
    {"content": b"{}"},
    {"content": b"{}", "headers": ADMIN},
    {"content": b"{}", "headers": {"X-Hub-Signature-256": ""}},
    {"content": b"{}", "headers": {"X-Hub-Signature": "sha1=" + "0" * 40}},
    github(secret="wrong-" + SECRET),
    github(**{"X-Hub-Signature-256": "sha256="}),
    github(**{"X-Hub-Signature-256": SECRET}),
    github(**{"X-Hub-Signature-256": "sha256=é".encode().decode("latin-1")}),
    {**github(), "content": b'{"ref": "refs/heads/other"}'},
    gitlab(**{"X-Gitlab-Token": SECRET + "x"}),
    gitlab(**{"X-Gitlab-Token": SECRET.upper()}),
    gitlab(**{"webhook-signature": "v1,AAAA"}),
    gitlab(**{"X-Hub-Signature-256": "sha256=00"}),
    github(b"[" * 100_000, secret="wrong"),
]


@pytest.mark.parametrize("delivery", UNSIGNED, ids=range(len(UNSIGNED)))
def test_without_the_right_signature_nothing_happens(client: Client, delivery: dict[str, Any]) -> None:
    before = jobs_of(client)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in delivery.get("headers", {}).items()]
    response = client.post("/ingest/webhook", content=delivery["content"], headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED")
    assert SECRET not in response.text
    assert jobs_of(client) == before


def test_a_body_is_not_even_read_without_an_attempt_to_sign_it(client: Client) -> None:
    with raw_connection(client) as connection:
        connection.sendall(b"POST /ingest/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


def test_a_body_over_the_limit_is_refused(client: Client) -> None:
    assert client.post("/ingest/webhook", **github(b"x" * (MOST_BODY_BYTES + 1))).status_code == 413
    assert client.post("/chat", content=b"x" * 1_000_000).status_code == 413, "the larger limit is the webhook's alone"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"ref": 1}', b"[" * 100_000, b"\xff", b'{"ref": ""}'])
def test_a_signed_body_that_cannot_be_read_is_the_sender_s_fault(client: Client, body: bytes) -> None:
    response = client.post("/ingest/webhook", **github(body))
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_ERROR")


def test_without_a_secret_the_webhook_says_what_to_set(make_settings: MakeSettings, docs: Path) -> None:
    with serving(make_settings(content_root=docs)) as client:
        response = client.post("/ingest/webhook", **github())
    assert response.status_code == 404
    assert "WEBHOOK_SECRET" in response.json()["error"]


# The parts


@pytest.mark.parametrize("shift", [-301, 301, -10_000_000_000, None])
def test_a_signed_delivery_counts_for_five_minutes(shift: int | None) -> None:
    sent_at = "soon" if shift is None else str(1_800_000_000 + shift)
    with pytest.raises(Unauthorized, match="clocks"):
        require_signature(standard(b"{}", sent_at), b"{}", SIGNING_TOKEN, now=1_800_000_000)


def test_one_right_signature_among_several_is_enough() -> None:
    headers = standard(b"{}", "1800000000")
    headers["webhook-signature"] = f"v1,old v1a,other {headers['webhook-signature']}"
    require_signature(headers, b"{}", SIGNING_TOKEN, now=1_800_000_100)
    with pytest.raises(Unauthorized):
        require_signature({**headers, "webhook-id": "msg_2"}, b"{}", SIGNING_TOKEN, now=1_800_000_100)


def test_a_secret_that_only_looks_like_a_signing_token_is_its_own_key() -> None:
    secret = "whsec_not base64 at all"
    require_signature(standard(b"{}", "1800000000", key=secret.encode()), b"{}", secret, now=1_800_000_000)


@pytest.mark.parametrize(
    ("headers", "id_"),
    [
        ({"x-github-delivery": "g"}, "g"),
        ({"webhook-id": "w", "idempotency-key": "i"}, "w"),
        ({"idempotency-key": "i", "x-gitlab-event-uuid": "u"}, "i"),
        ({"x-gitlab-event-uuid": "u"}, "u"),
        ({}, ""),
    ],
)
def test_each_host_s_name_for_a_delivery_is_known(headers: Mapping[str, str], id_: str) -> None:
    assert read_delivery({"x-github-event": "ping", **headers}, b"").id == id_


def test_where_no_branch_is_known_any_push_counts() -> None:
    push = Delivery("push", "push", "", "refs/heads/anything")
    assert is_of_ref(push, None)
    assert is_of_ref(push, "HEAD")
    assert not is_of_ref(push, "main")


def test_a_tag_push_and_a_system_hook_of_gitlab_s_are_pushes() -> None:
    tag = json.dumps({"object_kind": "tag_push", "ref": "refs/tags/v1", "project": {}}).encode()
    for event in ("Tag Push Hook", "System Hook"):
        assert read_delivery({"x-gitlab-event": event}, tag).ref == "refs/tags/v1"
    with pytest.raises(InvalidInput, match="names no ref"):
        read_delivery({"x-gitlab-event": "Push Hook"}, b"{}")


def test_a_late_start_does_not_lose_a_push(make_settings: MakeSettings, docs: Path) -> None:
    """Two deliveries of two pushes are two wishes: neither is taken for a repetition of the other."""
    with serving(make_settings(content_root=docs, webhook_secret=SECRET)) as client:
        replies: list[httpx.Response] = [
            client.post("/ingest/webhook", **github({**MAIN, "after": str(n) * 40})) for n in (1, 2)
        ]
        assert all(reply.status_code == 202 for reply in replies)
        waiting = {reply.json()["task_id"] for reply in replies}
        assert waiting <= set(jobs_of(client))
