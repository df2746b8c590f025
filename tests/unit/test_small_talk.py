"""What is taken for small talk, and what is left for the docs to answer."""

from __future__ import annotations

import pytest

from api.chat.small_talk import ABOUT, ACKNOWLEDGED, FAREWELL, GREETING, NOTED, THANKS, reply_to_small_talk


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("hi", GREETING),
        ("Hello!", GREETING),
        ("hey there 👋", GREETING),
        ("Good morning", GREETING),
        ("Hi, how are you today?", GREETING),
        ("assalam o alaikum", GREETING),
        ("Assalamualikum", GREETING),
        ("salam", GREETING),
        ("yo", GREETING),
        ("привет", GREETING),
        ("你好", GREETING),
        ("?", GREETING),
        ("👍", GREETING),
        ("Thanks a lot!", THANKS),
        ("thank you", THANKS),
        ("ok, thanks", THANKS),
        ("Thank you so much for the help!", THANKS),
        ("bye bye", FAREWELL),
        ("See you later", FAREWELL),
        ("Who are you?", ABOUT),
        ("What can you do?", ABOUT),
        ("help", ABOUT),
        ("ok", ACKNOWLEDGED),
        ("Got it.", ACKNOWLEDGED),
    ],
)
def test_small_talk_gets_a_friendly_line(text: str, reply: str) -> None:
    assert reply_to_small_talk(text) == reply


@pytest.mark.parametrize(
    "text",
    [
        "hi, how do I install it?",
        "thanks, and how do I update?",
        "安装",
        "history",
        "Go",
        "C#",
        "JS",
        "test",
        "what can you do with slices?",
        "help with installing",
        "hello world example",
        "great circle",
    ],
)
def test_what_asks_for_something_is_left_to_the_docs(text: str) -> None:
    assert reply_to_small_talk(text) is None


def test_amid_a_conversation_a_bare_yes_is_about_what_was_said() -> None:
    assert reply_to_small_talk("yes") == NOTED
    assert reply_to_small_talk("yes", amid=True) is None
    assert reply_to_small_talk("help me", amid=True) is None
    assert reply_to_small_talk("thanks!", amid=True) == THANKS


def test_amid_a_conversation_an_acknowledgement_asks_for_nothing() -> None:
    assert reply_to_small_talk("ok, great", amid=True) is None
    assert reply_to_small_talk("Got it!", amid=True) == ACKNOWLEDGED
    assert reply_to_small_talk("ok", amid=True) == ACKNOWLEDGED
