"""POST /ingest/webhook, for code hosts: a push to the branch that is indexed starts an ingest.

It has no admin key: the signature is the right to call it, and the only thing that it can start is the ingest that the
owner has set up.
"""

from __future__ import annotations

import hashlib
from typing import Final

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from api.dependencies import Runtime, RuntimeDep
from api.ingest_schemas import WebhookReply
from api.pushes import Delivery, is_of_ref, read_delivery
from api.routes.ingest import ask
from api.signatures import require_proof, require_signature
from shared.errors import NotFound

router = APIRouter(tags=["ingest"])

PATH: Final = "/ingest/webhook"
#: GitHub sends up to 25 MB, for thousands of commits in one push. 5 MiB hold some two thousand, and are read before
#: anyone knows whether the request is signed.
MOST_BODY_BYTES: Final = 5 * 2**20


@router.post(PATH, response_model=WebhookReply, responses={202: {"model": WebhookReply}})
async def webhook(request: Request, runtime: RuntimeDep) -> JSONResponse:
    """For the webhooks of GitHub, GitLab, Gitea and Forgejo: index the docs after a push.

    202 with the job's id if an ingest has started; 200 for a ping, and for an event that is no reason to index.
    """
    secret = runtime.services.settings.webhook_secret
    if secret is None:
        raise NotFound("the webhook is not set up: set WEBHOOK_SECRET and start the API again")
    require_proof(request.headers)
    body = await request.body()
    require_signature(request.headers, body, secret.get_secret_value())
    delivery = read_delivery(request.headers, body)
    if delivery.kind == "ping":
        return _reply(200, WebhookReply(status="pong", message="the webhook is set up"))
    reason = _reason_to_ignore(delivery, runtime.services.settings.source_git_ref)
    if reason is not None:
        return _reply(200, WebhookReply(status="ignored", message=f"ignored: {reason}"))
    return await _start(runtime, delivery, body)


def _reason_to_ignore(delivery: Delivery, wanted: str | None) -> str | None:
    shown = delivery.ref[:200]
    if delivery.kind != "push":
        return f"{delivery.event[:80]} is no push"
    if delivery.removed:
        return f"{shown} was removed"
    if not is_of_ref(delivery, wanted):
        return f"{shown} is not the ref that is indexed"
    return None


async def _start(runtime: Runtime, delivery: Delivery, body: bytes) -> JSONResponse:
    """The ingest of a push; of one that is delivered again, the one that it started before."""
    services = runtime.services
    new: list[str] = []

    async def create() -> str:
        asked = await ask(services, ".", force=False)
        if not asked.joined:
            new.append(asked.job.id)
        return asked.job.id

    if delivery.id:
        sent = hashlib.sha256(body).hexdigest()
        # Clients name keys of their own; those of deliveries stay apart from them.
        job_id = await runtime.idempotency.once(f"webhook {delivery.id}", sent, create, services.jobs.has_lost)
    else:
        job_id = await create()
    started = WebhookReply(status="started", message=f"{job_id} indexes {delivery.ref[:200]}", task_id=job_id)
    # After the reply, as for POST /ingest: hosts give up after ten seconds.
    return _reply(202, started, BackgroundTask(services.queue.plan, job_id, ".") if new else None)


def _reply(status: int, reply: WebhookReply, then: BackgroundTask | None = None) -> JSONResponse:
    return JSONResponse(reply.model_dump(), status, background=then)
