"""What a code host's webhook says: a push to some reference, or something else. Free of HTTP beyond header names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InvalidInput

_FORM: Final = "application/x-www-form-urlencoded"
#: `after` of a push that removed the reference.
_GONE: Final = frozenset("0")
#: How a host's headers name pushes. Gitea and Forgejo send GitHub's headers beside their own.
_PUSHES: Final = ("push", "push hook", "tag push hook", "push_hook")
#: A system hook of GitLab names its event in the body alone.
_SYSTEM_HOOK: Final = "system hook"
_PUSH_OBJECTS: Final = ("push", "tag_push")


class _Repository(BaseModel):
    default_branch: str | None = None


class _Body(BaseModel):
    """The few fields that are read, of the hundreds that hosts send."""

    model_config = ConfigDict(extra="ignore")

    ref: str | None = None
    after: str | None = None
    deleted: bool = False
    object_kind: str | None = None
    #: GitHub, Gitea and Forgejo name it so; GitLab's `repository` has no default branch.
    repository: _Repository | None = None
    project: _Repository | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of a webhook."""

    kind: Literal["ping", "push", "other"]
    #: As the host names it.
    event: str
    #: The host's own id of the delivery: the same when it is sent again. "" if it gives none.
    id: str
    #: `refs/heads/main`; "" if it is no push.
    ref: str = ""
    #: "" if the host does not say.
    default_branch: str = ""
    #: The reference was removed, not moved.
    removed: bool = False


def read_delivery(headers: Mapping[str, str], body: bytes) -> Delivery:
    """What a webhook's request says. Call it once the signature is known to be right. Raises InvalidInput."""
    event = headers.get("x-github-event") or headers.get("x-gitlab-event") or ""
    id_ = next((headers[name] for name in _ID_HEADERS if headers.get(name)), "")
    if event.lower() == "ping":
        return Delivery("ping", event, id_)
    said = _read(headers, body)
    is_push = event.lower() in _PUSHES or (event.lower() == _SYSTEM_HOOK and said.object_kind in _PUSH_OBJECTS)
    if not is_push:
        return Delivery("other", event or "unnamed", id_)
    if not said.ref:
        raise InvalidInput("the push names no ref; let the webhook send push events as JSON")
    repository = said.project if said.project and said.project.default_branch else said.repository
    removed = said.deleted or (bool(said.after) and set(said.after or "") == _GONE)
    return Delivery("push", event, id_, said.ref, (repository and repository.default_branch) or "", removed)


_ID_HEADERS: Final = ("x-github-delivery", "webhook-id", "idempotency-key", "x-gitlab-event-uuid")


def is_of_ref(delivery: Delivery, wanted: str | None) -> bool:
    """Whether a push moved the reference that is indexed: the wanted one, else the repository's default branch.

    Where neither is known, any push may have.
    """
    name = wanted if wanted and wanted != "HEAD" else delivery.default_branch
    return not name or delivery.ref in (name, f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}")


def _read(headers: Mapping[str, str], body: bytes) -> _Body:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        text = parse_qs(body.decode("ascii"), max_num_fields=10)["payload"][0] if kind == _FORM else body
        return _Body.model_validate_json(text)
    except (ValidationError, UnicodeDecodeError, KeyError, ValueError):
        raise InvalidInput("the webhook's body cannot be read; let it send push events as JSON") from None
