"""POST /evaluate, for admins: questions whose answers are known, asked as visitors would ask them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.bodies import body_schema, json_body
from api.dependencies import RuntimeDep, require_admin
from api.errors import Restarting
from api.evaluation import evaluate
from api.evaluation_schemas import EvaluationReply, EvaluationRequest
from api.routes.chat import CLIENT_CLOSED_REQUEST
from api.stream import run_until_left

router = APIRouter(tags=["evaluation"], dependencies=[Depends(require_admin)])


@router.post(
    "/evaluate", openapi_extra=body_schema(EvaluationRequest), responses={200: {"model": EvaluationReply}},
    response_model=None,
)  # fmt: skip
async def evaluate_questions(
    request: Request, body: Annotated[EvaluationRequest, Depends(json_body(EvaluationRequest))], runtime: RuntimeDep
) -> Response:
    """What is found and answered for each question. Given up as soon as nobody waits for it."""
    work = asyncio.create_task(evaluate(body, runtime))
    ending = await run_until_left(work, request.receive, runtime.draining)
    if ending == "left":
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if ending == "draining":
        raise Restarting("the server is restarting; ask again in a moment", retry_after=2)
    return JSONResponse(work.result().model_dump())
