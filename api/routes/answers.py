"""DELETE /answers/{id}: the visitor has gone, and will not come back for the rest of an answer that waits for that.

Who hangs up without a word may have lost the connection, so that an answer with an `Idempotency-Key` goes on for a
while.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from api.dependencies import RuntimeDep

router = APIRouter(tags=["chat"])

#: The header of a stream of Server-Sent Events that names its answer: who leaves before the first event knows it too.
ANSWER_ID: Final = "X-Answer-ID"


@router.delete("/answers/{answer_id}", status_code=204)
async def stop_answer(answer_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], runtime: RuntimeDep) -> Response:
    """End an answer whose reader has left, and leave its key free. The same whether there is such an answer or not."""
    await runtime.journal.stop(answer_id)
    return Response(status_code=204)
