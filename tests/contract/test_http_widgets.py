"""Front ends that exist and will not be changed: each sends its own requests and reads the replies by its own rules.

What the server writes is taken apart at the HTTP chunks, because one of the widgets looks at each read by itself.
"""

from __future__ import annotations

import codecs
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from api.chat.events import Cited, Delta, Started, Turn
from shared.errors import ProviderUnavailable
from shared.settings import Settings
from tests.http_api import (
    ADMIN,
    CITATION,
    LINK,
    Client,
    ScriptedAnswer,
    finished,
    good_answer,
    raw_connection,
    serving,
    settings_on,
    wait_for,
)  # fmt: skip
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
ANSWER = f"Run `make up`. {LINK}"
SITE = "http://localhost:3000"
#: Words that make every kind of parser stumble.
HARD = [
    "Zw\u00f6lf ",
    "\U0001f600\u2028",
    "data: [DONE]\n\n",
    'event: done\ndata: {"type":"done"}\n',
    '"quoted" \\ ',
    "end.",
]


@pytest.fixture(scope="module")
def served(stores: Stores) -> Iterator[tuple[Client, ScriptedAnswer]]:
    script = good_answer()
    with serving(settings_on(stores, rate_limit_requests=100_000, allowed_origins=SITE), script) as client:
        yield client, script


@pytest.fixture
def client(served: tuple[Client, ScriptedAnswer]) -> Client:
    return served[0]


@pytest.fixture
def script(served: tuple[Client, ScriptedAnswer]) -> ScriptedAnswer:
    served[1].questions.clear()
    return served[1]


@dataclass(frozen=True)
class Reply:
    """A reply as it went over the wire."""

    status: int
    headers: dict[str, str]
    #: Each is one write of the server.
    writes: list[bytes]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def cut_anew(self, seed: int) -> list[bytes]:
        """The same bytes, cut where a network may cut them: in the middle of a line, and of a character."""
        whole, chance = b"".join(self.writes), random.Random(seed)
        cuts = sorted(chance.sample(range(1, len(whole)), min(len(whole) - 1, 40)))
        return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def send(client: Client, path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
    """POST from a page of the site, as a browser does."""
    content = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Origin: {SITE}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with raw_connection(client) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        stream = connection.makefile("rb")
        status = int(stream.readline().split()[1])
        found = dict(line.decode().strip().lower().split(": ", 1) for line in iter(stream.readline, b"\r\n"))
        if "content-length" in found:
            return Reply(status, found, [stream.read(int(found["content-length"]))])
        writes = []
        while size := int(stream.readline(), 16) if found.get("transfer-encoding") == "chunked" else 0:
            writes.append(stream.read(size))
            stream.readline()
        return Reply(status, found, writes)


def preflight(client: Client, path: str, method: str, *headers: str) -> dict[str, str]:
    """What a browser asks before it sends a request of a page of another origin."""
    asked = {
        "Origin": SITE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(headers),
    }
    response = client.options(path, headers=asked)
    assert response.status_code == 200, response.text
    allowed = {header.strip().lower() for header in response.headers["access-control-allow-headers"].split(",")}
    assert set(headers) <= allowed
    assert method in response.headers["access-control-allow-methods"]
    return dict(response.headers)


# A widget that asks with a new session id each time, and keeps nothing over from one network read to the next


@dataclass
class UnbufferedWidget:
    """Knows `chunk` and `final` alone; has the id of its browser in every request."""

    client: Client
    browser: str = field(default_factory=lambda: f"anon_1733_{uuid4().hex[:6]}")
    text: str = ""
    badges: list[dict[str, Any]] = field(default_factory=list)

    def mount(self) -> dict[str, Any]:
        response = self.client.get(f"/auth/anonymous-session/{self.browser}", headers={"Origin": SITE})
        assert response.headers["access-control-allow-origin"] == SITE
        known: dict[str, Any] = response.json()
        return known

    def ask(self, question: str) -> Reply:
        session = "".join(random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=11))
        body = {"question": question, "stream": True, "k": 5, "context_window": 4000, "session_id": session}
        headers = {"Content-Type": "application/json", "X-Anonymous-Session-ID": self.browser}
        return send(self.client, "/api/chat", body, headers)

    def read(self, reply: Reply) -> None:
        assert reply.ok
        assert "text/event-stream" in reply.headers["content-type"]
        self.text, self.badges = "", []
        for read in reply.writes:
            for line in read.decode().split("\n"):
                if line.startswith("data: ") and line != "data: [DONE]":
                    self._take(line[6:])

    def _take(self, data: str) -> None:
        try:
            event = json.loads(data)
        except ValueError:
            return
        if event["type"] == "chunk" and event["content"]:
            self.text += event["content"]
        elif event["type"] == "final" and event["answer"]:
            self.text, self.badges = event["answer"], event["sources"]


def test_the_unbuffered_widget_may_send_what_it_sends_from_its_site(client: Client) -> None:
    allowed = preflight(client, "/api/chat", "POST", "content-type", "x-anonymous-session-id")
    assert allowed["access-control-allow-origin"] == SITE  # with credentials, `*` would not do
    assert allowed["access-control-allow-credentials"] == "true"
    reply = UnbufferedWidget(client).ask("How?")
    assert reply.headers["access-control-allow-origin"] == SITE
    assert reply.headers["access-control-allow-credentials"] == "true"


def test_the_unbuffered_widget_shows_the_answer_and_its_badges(client: Client) -> None:
    widget = UnbufferedWidget(client)
    widget.read(widget.ask("How do I start it?"))
    assert widget.text == ANSWER
    assert [(s["chapter"], s["section"], s["url"]) for s in widget.badges] == [("Install", "Linux", CITATION.url)]


def test_the_unbuffered_widget_loses_no_event_and_no_word(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(Started((LINK,), 4), *map(Delta, HARD), Cited(CITATION), finished(""))
    with serving(make_settings(allowed_origins=SITE), answer) as client:
        widget = UnbufferedWidget(client)
        widget.read(widget.ask("How?"))
    assert widget.text == "".join(HARD)  # from the chunks alone: the final event was empty


def test_the_unbuffered_widget_is_remembered_by_its_browser(make_settings: MakeSettings) -> None:
    script = good_answer()
    with serving(make_settings(allowed_origins=SITE), script) as client:
        widget = UnbufferedWidget(client)
        assert widget.mount() == {"id": widget.browser, "message_count": 0, "exists": False}
        for question in ("What is it?", "And how do I start it?"):
            widget.read(widget.ask(question))
        assert widget.mount() == {"id": widget.browser, "message_count": 2, "exists": True}
    assert [turn.question for turn in script.questions[1].history] == ["What is it?"]


def test_the_unbuffered_widget_shows_a_sentence_when_the_answer_fails(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(Started((), 1), Delta("Run "), RuntimeError("secret"))
    with serving(make_settings(allowed_origins=SITE), script) as client:
        widget = UnbufferedWidget(client)
        widget.read(widget.ask("How?"))
    assert widget.text == "Run \n\nSorry, something went wrong while I was answering."


def test_a_marked_passage_of_any_length_is_asked_about_as_a_question(client: Client, script: ScriptedAnswer) -> None:
    marked = 'I have a question about this selected text: "' + "word " * 1900 + '"'
    widget = UnbufferedWidget(client)
    widget.read(widget.ask(marked))
    assert widget.text == ANSWER
    assert script.questions[0].text == marked


# An older widget, with a session id that stays, which appends `answer` or `content` of any event


def appending_widget(client: Client) -> str:
    body = {"question": "How?", "session_id": "thread_1733000000000_k2j9x0q1a", "stream": True}
    reply = send(client, "/chat", body, {"Content-Type": "application/json"})
    shown, rest = "", ""
    for read in reply.cut_anew(7):
        *lines, rest = (rest + read.decode("utf-8", "surrogateescape")).split("\n")
        for line in lines:
            if line.startswith("data: "):
                event = json.loads(line[6:].encode("utf-8", "surrogateescape"))
                shown += event.get("answer") or event.get("content") or ""
    return shown


def test_the_appending_widget_shows_the_answer_once_when_final_is_off(make_settings: MakeSettings) -> None:
    with serving(make_settings(send_final=False, allowed_origins=SITE)) as client:
        assert appending_widget(client) == ANSWER


def test_the_appending_widget_shows_one_sentence_when_the_answer_fails(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(Started((), 1), ProviderUnavailable("busy"))
    with serving(make_settings(send_final=False, allowed_origins=SITE), script) as client:
        assert appending_widget(client) == "Sorry, I cannot answer just now. Please try again in a moment."


# A widget that sends `query`, the marked words as `context`, and its own history, and reads JSON lines


@dataclass
class QueryWidget:
    """Reads with a buffer; shows `detail` of what is refused."""

    client: Client
    text: str = ""
    sources: list[dict[str, str]] = field(default_factory=list)
    error: str = ""
    messages: list[dict[str, str]] = field(default_factory=list)

    def ask(self, query: str, context: str | None = None, seed: int = 1) -> None:
        body = {"query": query, "context": context, "history": self.messages[-4:]}
        headers = {"Content-Type": "application/json", "X-Stream-Response": "true"}
        reply = send(self.client, "/chat", body, headers)
        self.text, self.sources, self.error = "", [], ""
        if not reply.ok:
            self.error = json.loads(reply.writes[0])["detail"]
            return
        decoder, rest = codecs.getincrementaldecoder("utf-8")(), ""
        for read in reply.cut_anew(seed):
            *lines, rest = (rest + decoder.decode(read)).split("\n")
            for line in filter(str.strip, lines):
                self._take(json.loads(line))
        assert rest == ""
        self.messages += [{"sender": "You", "text": query}, {"sender": "Book Assistant", "text": self.text}]

    def _take(self, part: dict[str, Any]) -> None:
        match part["type"]:
            case "sources":
                self.sources = part["content"]
            case "chunk":
                self.text += part["content"]
            case "error":
                self.error = part["content"]

    def rate(self, rating: str) -> Reply:
        body = {
            "message_id": str(uuid4()), "query": self.messages[-2]["text"], "response": self.text,
            "sources": self.sources, "rating": rating, "context": None,
        }  # fmt: skip
        return send(self.client, "/feedback", body, {"Content-Type": "application/json"})


def test_the_query_widget_may_send_what_it_sends_from_its_site(client: Client) -> None:
    for path, headers in {"/chat": ("content-type", "x-stream-response"), "/feedback": ("content-type",)}.items():
        assert preflight(client, path, "POST", *headers)["access-control-allow-origin"] == SITE


@pytest.mark.parametrize("seed", range(5))
def test_the_query_widget_shows_the_answer_and_its_links(client: Client, seed: int) -> None:
    widget = QueryWidget(client)
    widget.ask("How?", seed=seed)
    assert widget.text == ANSWER
    assert widget.sources == [{"url": CITATION.url, "page_title": "Install - Linux"}]
    assert widget.error == ""


def test_the_query_widget_loses_no_word_wherever_the_network_cuts(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(Started((LINK,), 4), *map(Delta, HARD), finished(""))
    with serving(make_settings(allowed_origins=SITE), answer) as client:
        widget = QueryWidget(client)
        for seed in range(20):
            widget.ask("How?", seed=seed)
            assert widget.text == "".join(HARD)


def test_the_query_widget_s_marked_words_and_history_reach_the_answer(client: Client, script: ScriptedAnswer) -> None:
    widget = QueryWidget(client)
    widget.ask("What is it?")
    widget.ask("And how?", context="the marked words")
    assert [question.selection for question in script.questions] == [None, "the marked words"]
    assert script.questions[1].history == (Turn("What is it?", ANSWER),)


def test_the_query_widget_shows_what_went_wrong(make_settings: MakeSettings) -> None:
    with serving(make_settings(allowed_origins=SITE), ScriptedAnswer(Started((), 1), RuntimeError("secret"))) as client:
        widget = QueryWidget(client)
        widget.ask("How?")
        assert widget.error == "Sorry, something went wrong while I was answering."
        widget.ask(" ")
        assert widget.error == "query: must not be empty"


def test_the_query_widget_s_thumbs_reach_the_owner(make_settings: MakeSettings) -> None:
    with serving(make_settings(allowed_origins=SITE)) as client:
        widget = QueryWidget(client)
        widget.ask("How?")
        for rating in ("good", "bad"):
            reply = widget.rate(rating)
            assert (reply.status, b"".join(reply.writes)) == (204, b"")
            assert reply.headers["access-control-allow-origin"] == SITE

        def logged() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.get("/questions", params={"kind": "feedback"}, headers=ADMIN).json()[
                "questions"
            ]
            return found

        wait_for(lambda: len(logged()) == 2)
        assert {entry["rating"] for entry in logged()} == {"good", "bad"}
        assert all((entry["question"], entry["answer"]) == ("How?", ANSWER) for entry in logged())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"message_id": "1", "rating": "great"}, "rating"),
        ({"rating": "good"}, "message_id"),
        ({"message_id": "x" * 129, "rating": "good"}, "message_id"),
        ({"message_id": "1", "rating": "good", "query": "x" * 10_001}, "query"),
        ({"message_id": "1", "rating": "good", "response": "x" * 100_001}, "response"),
    ],
)
def test_a_rating_that_is_none_is_refused_by_name(client: Client, body: dict[str, Any], field: str) -> None:
    response = client.post("/feedback", json=body)
    assert response.status_code == 422
    assert field in [fault["field"] for fault in response.json()["details"]["errors"]]


def test_ratings_count_against_the_visitor_s_limit(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=3)) as client:
        rated = [client.post("/feedback", json={"message_id": 7, "rating": "bad"}).status_code for _ in range(5)]
    assert rated == [204] * 3 + [429] * 2
