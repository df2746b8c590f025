"""robots.txt, as RFC 9309 has it: the longest rule wins, `*` and `$` count, a group may be meant for several robots.

Python's own reader knows neither wildcards nor the longest match, and so reads files otherwise than they are meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

#: The name that a robots.txt calls us by.
ROBOT: Final = "lectern"
#: Bytes that are read; the RFC asks for at least as many.
MOST_BYTES: Final = 500 * 1024
#: Each is held against each page.
MOST_RULES: Final = 5000


@dataclass(frozen=True, slots=True)
class Rule:
    allow: bool
    path: str

    def fits(self, target: str) -> bool:
        """Whether the rule speaks of a path. Looks at each character once, however many wildcards there are."""
        first, *rest = self.path.removesuffix("$").split("*")
        if not target.startswith(first):
            return False
        at = len(first)
        ends = self.path.endswith("$")
        last = rest.pop() if ends and rest else None
        for part in rest:
            at = target.find(part, at)
            if at < 0:
                return False
            at += len(part)
        if last is not None:
            return len(target) - len(last) >= at and target.endswith(last)
        return not ends or at == len(target)


@dataclass(frozen=True, slots=True)
class Robots:
    #: The one that decides first.
    rules: tuple[Rule, ...] = ()
    #: Seconds between two requests, as the site asks for; 0 if it does not.
    delay: float = 0.0

    def allow(self, url: str) -> bool:
        """Whether a page may be fetched."""
        parts = urlsplit(url)
        target = _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        # The longest rule wins; of two of one length, the one that allows. They are in that order.
        return next((rule.allow for rule in self.rules if rule.fits(target)), True)


def parse_robots(text: str, robot: str = ROBOT) -> Robots:
    """What a robots.txt asks of a robot of that name. Nothing in it is an error: unknown lines are skipped."""
    ours: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    named: set[str] = set()
    between_names = False
    for key, value in _lines(text):
        if key == "user-agent":
            named = (named if between_names else set()) | {value.lower().partition("/")[0].strip()}
            between_names = True
            continue
        between_names = False
        if robot in named:
            ours.append((key, value))
        elif "*" in named:
            others.append((key, value))
    is_ours = bool(ours) or _names(text, robot)
    return _robots(ours if is_ours else others)


def _names(text: str, robot: str) -> bool:
    """Whether a group of the file is for this robot, if only an empty one: then what is asked of all does not count."""
    return any(key == "user-agent" and value.lower().partition("/")[0].strip() == robot for key, value in _lines(text))


def _lines(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition("#")[0].partition(":") for line in text.removeprefix("\ufeff").splitlines())
    return [(key.strip().lower(), value.strip()) for key, colon, value in pairs if colon]


def _robots(lines: list[tuple[str, str]]) -> Robots:
    rules = [Rule(key == "allow", _normal(value)) for key, value in lines if key in ("allow", "disallow") and value]
    delays = [
        float(value) for key, value in lines if key == "crawl-delay" and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value)
    ]
    rules = sorted(rules[:MOST_RULES], key=lambda rule: (len(rule.path), rule.allow), reverse=True)
    return Robots(tuple(rules), max(delays, default=0.0))


def _normal(path: str) -> str:
    """One spelling for a path: percent signs in upper case, everything that needs one with one."""
    encoded = quote(path, safe="/:?#[]@!$&'()*+,;=%~-._")
    return re.sub(r"%[0-9a-fA-F]{2}", lambda found: found[0].upper(), encoded)
