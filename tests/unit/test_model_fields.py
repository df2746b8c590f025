"""What a chat request holds beside the fields that every provider takes."""

from __future__ import annotations

from typing import Any

import pytest

from api.chat.model import fields_of

USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("host", "model", "fields"),
    [
        ("api.openai.com", "gpt-6-luna", {**USAGE, "reasoning_effort": "none"}),
        ("api.openai.com", "gpt-4o-mini", USAGE),
        ("localhost", "gpt-6-luna", {}),
        ("generativelanguage.googleapis.com", "gemini-3.5-flash-lite", {}),
    ],
)
def test_only_openai_is_told_what_only_openai_takes(host: str, model: str, fields: dict[str, Any]) -> None:
    assert fields_of(host, model) == fields
