"""A completion's stream is read the same however the network cuts it, and never for more than it is."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.chat.completions import LONGEST_LINE, Completion, ServerSentEvents, status_of
from shared.errors import ProviderMalformed


def event(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def read(*chunks: bytes) -> tuple[str, Completion]:
    completion = Completion()
    text = "".join(completion.feed(chunk) for chunk in chunks)
    return text + completion.end(), completion


WHOLE = (
    b": hello\r\n\r\n"
    + event({"role": "assistant", "content": ""})
    + event({"content": "Größe "})
    + b"event: message\r\nid: 7\r\ndata:"
    + event({"content": "\U0001f600[1]"})[6:].replace(b"\n", b"\r\n")
    + event({"content": None})
    + event({}, "stop")
    + b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
    + b"data: [DONE]\n\n"
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_the_words_do_not_depend_on_where_the_network_cuts_the_stream(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(WHOLE)]
    text, completion = read(*(WHOLE[a:b] for a, b in pairwise(bounds)))
    assert text == "Größe \U0001f600[1]"
    assert (completion.finish_reason, completion.prompt_tokens, completion.answer_tokens) == ("stop", 7, 3)
    assert completion.done


def test_a_chunk_with_several_events_makes_one_piece_of_text() -> None:
    assert Completion().feed(event({"content": "a"}) + event({"content": "b"}) + event({"content": "c"})) == "abc"


def test_an_event_of_several_lines_is_one() -> None:
    assert ServerSentEvents().feed(b'data: {"a":\ndata: 1}\n\n') == [b'{"a":\n1}']


@pytest.mark.parametrize(
    "delta", [None, {}, {"content": None}, {"role": "assistant"}, {"content": []}, {"reasoning_content": "hm"}]
)
def test_a_delta_without_words_is_silence(delta: dict[str, Any] | None) -> None:
    text, completion = read(event(delta))
    assert text == ""
    assert not completion.empty


def test_a_list_of_parts_and_a_refusal_are_words_too() -> None:
    assert read(event({"content": [{"type": "text", "text": "a"}, {"type": "x"}]}))[0] == "a"
    assert read(event({"content": None, "refusal": "No."}))[0] == "No."


SHAPES = (
    '{"id":"c","choices":[{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}],"usage":null}',
    '{"choices": [{"finish_reason": null, "index": 0, "delta": {"role": "assistant", "content": %s}}], "created": 1}',
    '{"id":"c","choices":[{"delta":{"content":%s},"finish_reason":null}],"obfuscation":"a{b}c"}',
    '{"choices":[{"delta":{"content":%s,"reasoning_content":null},"finish_reason":null}]}',
)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(SHAPES), st.booleans())
def test_the_usual_event_is_read_as_any_other_would_be(text: str, shape: str, ascii_only: bool) -> None:
    data = shape % json.dumps(text, ensure_ascii=ascii_only)
    heard, completion = read(f"data: {data}\n\n".encode())
    assert heard == json.loads(data)["choices"][0]["delta"]["content"] == text
    assert not completion.finished
    assert completion.steps == 1


@pytest.mark.parametrize(
    "data",
    [
        '{"error":"overloaded","choices":[{"delta":{"content":"a"},"finish_reason":null}]}',
        '{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"error":{"message":"overloaded"}}',
    ],
)
def test_an_error_beside_words_is_not_overlooked(data: str) -> None:
    text, completion = read(f"data: {data}\n\n".encode())
    assert text == ""
    assert completion.error is not None


def test_words_about_the_wire_format_are_words() -> None:
    said = 'It ends with "finish_reason": "stop" or {"error": "x"}.'
    text, completion = read(event({"content": said}))
    assert text == said
    assert completion.error is None
    assert not completion.finished


def test_usage_beside_the_words_is_counted() -> None:
    _, completion = read(event({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}))
    assert (completion.prompt_tokens, completion.answer_tokens) == (3, 1)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"delta": {}, "finish_reason": "stop"}, "stop"),
        ({"delta": {}, "finish_reason": "LENGTH"}, "length"),
        ({"delta": {}, "finish_reason": "made up"}, "stop"),
        ({"delta": {}, "finish_reason": ""}, "stop"),
        ({"delta": {}}, "stop"),
        ({"delta": {}, "finish_reason": None}, None),
        ({"delta": {}, "finish_reason": "error"}, None),
    ],
)
def test_an_end_has_one_of_our_reasons_or_none(last: dict[str, Any], reason: str | None) -> None:
    events = event({"content": "a"}) + f"data: {json.dumps({'choices': [last]})}\n\ndata: [DONE]\n\n".encode()
    _, completion = read(events)
    assert completion.done
    assert completion.finish_reason == reason


def test_a_refusal_is_an_end_of_its_own() -> None:
    _, completion = read(event({"content": None, "refusal": "I will not."}), event({}, "stop"), b"data: [DONE]\n\n")
    assert completion.finish_reason == "refusal"


def test_nothing_but_the_end_is_no_answer() -> None:
    _, completion = read(b"data: [DONE]\n\n")
    assert completion.empty
    assert completion.finish_reason is None


def test_half_of_a_character_spoils_nothing_else() -> None:
    text, _ = read(b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":null}]}\n\n')
    assert text.startswith("a")


def test_a_stream_that_just_ends_has_no_reason_for_it() -> None:
    text, completion = read(event({"content": "half"}))
    assert text == "half"
    assert completion.finish_reason is None


def test_an_event_cut_by_the_stream_s_end_is_left_out_and_one_without_its_blank_line_is_not() -> None:
    assert read(event({"content": "a"}), b'data: {"choi')[0] == "a"
    assert read(event({"content": "a"}).rstrip())[0] == "a"


@pytest.mark.parametrize("body", ['{"error": {"message": "no"}}', '[{"error": {"message": "no", "code": 503}}]'])
def test_an_error_in_the_stream_is_kept_for_who_can_name_it(body: str) -> None:
    text, completion = read(event({"content": "a"}), f"data: {body}\n\n".encode(), event({"content": "b"}))
    assert text == "a"
    assert completion.error is not None


@pytest.mark.parametrize("data", ["<html>", "1", '"x"', "[]", '{"choices": 1}', '{"choices": [1]}', "[" * 100_000])
def test_what_is_no_completion_is_refused(data: str) -> None:
    with pytest.raises(ProviderMalformed):
        Completion().feed(f"data: {data}\n\n".encode())


def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    completion = Completion()
    completion.feed(b"x" * LONGEST_LINE)
    with pytest.raises(ProviderMalformed):
        completion.feed(b"x")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "x", "type": "server_error", "code": None}, 500),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": "503"}, 503),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, 429),
        ({"type": "invalid_request_error", "code": "model_not_found"}, 404),
        ("overloaded", 500),
        ({}, 500),
    ],
)
def test_an_error_in_the_stream_has_the_status_it_would_have_had_before(error: object, status: int) -> None:
    assert status_of(error) == status
