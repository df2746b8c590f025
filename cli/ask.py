"""`lectern ask` and `lectern search`: what a visitor gets, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urljoin

from cli.client import Api
from cli.errors import NOTHING_FOUND, OK, CommandError
from cli.output import say, say_json, write


async def ask(api: Api, question: str, passages: int, *, as_json: bool) -> int:
    """Print the answer as it comes, then its sources. Returns the exit code."""
    body = {"question": question, "k": passages}
    if as_json:
        reply = await api.post("/chat", {**body, "stream": False})
        say_json(reply)
        return NOTHING_FOUND if reply["no_results"] else OK
    links = Links()
    done: Mapping[str, Any] = {}
    try:
        async with aclosing(api.ask({**body, "stream": True})) as events:
            async for event in events:
                if event["type"] == "start":
                    links = Links(event["sources"])
                elif event["type"] == "chunk":
                    write(links.numbered(event["content"]))
                elif event["type"] == "done":
                    done = event
    except CommandError:
        say()  # so that the reason does not stand on the answer's last line
        raise
    say()
    for line in source_list(links.used, api.target.url):
        say(line)
    return NOTHING_FOUND if done["no_results"] else OK


async def search(api: Api, words: str, passages: int, *, as_json: bool) -> int:
    """Print the passages that fit best. Returns the exit code."""
    reply = await api.get("/search", q=words, k=passages)
    if as_json:
        say_json(reply)
    else:
        for number, passage in enumerate(reply["results"], 1):
            say_passage(number, passage, api.target.url)
    return OK if reply["results"] else NOTHING_FOUND


def say_passage(number: int, passage: Mapping[str, Any], api_url: str) -> None:
    trail = " > ".join(dict.fromkeys((passage["page_title"], *passage["trail"])))
    say(f"[{number}] {trail}  ({passage['score']:.2f})")
    say(f"    {urljoin(api_url, passage['url'])}")
    say(f"    {' '.join(passage['text_snippet'].split())}")


class Links:
    """Replaces the links that stand for citations by numbers, in the order of their first mention."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        """`known`: the Markdown links of all passages that may be cited."""
        self._known = known
        self.used: list[str] = []

    def numbered(self, text: str) -> str:
        """The text with `[2]` for the second link that was mentioned. The stream never cuts a link in two."""
        for link in sorted((link for link in self._known if link in text), key=text.index):
            if link not in self.used:
                self.used.append(link)
            text = text.replace(link, f"[{self.used.index(link) + 1}]")
        return text


def source_list(links: Sequence[str], api_url: str) -> list[str]:
    """`[1] Title  address` for each link, after a blank line; addresses that are relative are the API's own."""
    lines = []
    for number, link in enumerate(links, 1):
        title, _, url = link.removeprefix("[").removesuffix(")").rpartition("](")
        lines.append(f"[{number}] {title}  {urljoin(api_url, url)}")
    return ["", *lines] if lines else []
