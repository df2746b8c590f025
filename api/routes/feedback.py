"""POST /feedback: what a visitor says of an answer, for the owner's question log."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.bodies import body_schema, json_body
from api.clients import address_of
from api.dependencies import RuntimeDep
from api.question_entry import feedback_entry
from api.questions import QUESTION_CHARACTERS, SESSION_ID_CHARACTERS

router = APIRouter(tags=["chat"])

#: Of an answer that is sent back. The longest ones are shorter.
ANSWER_CHARACTERS: Final = 100_000


#: Some front ends count their messages.
MessageId = Annotated[
    str,
    Field(max_length=SESSION_ID_CHARACTERS),
    BeforeValidator(lambda value: str(value) if type(value) is int else value, json_schema_input_type=str | int),
]


class Feedback(BaseModel):
    """A thumb up or down. Of `sources`, `context` and whatever else a front end sends, nothing is kept."""

    model_config = ConfigDict(extra="ignore", strict=True)

    message_id: MessageId
    rating: Literal["good", "bad"]
    query: str = Field(default="", max_length=QUESTION_CHARACTERS)
    response: str = Field(default="", max_length=ANSWER_CHARACTERS)
    sources: Any = None
    context: Any = None


@router.post("/feedback", status_code=204, openapi_extra=body_schema(Feedback))
async def take_feedback(
    request: Request,
    feedback: Annotated[Feedback, Depends(json_body(Feedback))],
    runtime: RuntimeDep,
    browser_id: Annotated[str, Header(alias="X-Anonymous-Session-ID", max_length=SESSION_ID_CHARACTERS)] = "",
) -> Response:
    """Take a visitor's rating of an answer. It is kept as long as questions are, and not at all where they are not."""
    entry = feedback_entry(feedback.message_id, feedback.rating, feedback.query, feedback.response)
    visitor = browser_id or address_of(request, runtime.services.settings.trusted_proxies)
    runtime.questions.note("feedback", entry, visitor)
    return Response(status_code=204)
