"""What Flower shows of a task: the arguments that an admin needs, in words.

Flower hands over its own record of a task, with the keyword arguments as Celery wrote them: the text of a dictionary.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Pages that are named; the others are counted.
NAMED_PAGES: Final = 3
#: Of arguments that are not ours, or were cut: about what a line of the list holds.
MOST_CHARACTERS: Final = 200


def show_task(task: Any) -> Any:
    """The task with its arguments shortened. Changes and returns its own copy, which Flower made for that."""
    task.kwargs = shown_arguments(task.kwargs)
    return task


def shown_arguments(kwargs: str | None) -> str:
    """`job_1795266225_d0da445a, 12 pages: a.md, b.md, c.md and 9 more, source guide, shard 91f2b6d0c3aa`

    In this order because Flower's list cuts a line after about 45 characters. What is no message of ours is shown as it
    is, cut to one line: Flower must show every task.
    """
    arguments = _parsed(kwargs or "")
    if "job" in arguments:
        return ", ".join(_parts(arguments))
    text = kwargs or ""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _parts(arguments: Mapping[str, Any]) -> Iterator[str]:
    yield str(arguments["job"])
    match arguments:
        case {"pages": list(pages), "pages_total": int(total)}:
            yield _counted(pages, total)
        case {"pages": list(pages)}:
            yield _counted(pages, len(pages))
    for name in ("source", "shard"):
        if name in arguments:
            yield f"{name} {arguments[name]}"


def _counted(pages: list[Any], total: int) -> str:
    named = [str(page) for page in pages[:NAMED_PAGES]]
    rest = f" and {total - len(named)} more" if total > len(named) else ""
    return f"{total} {'page' if total == 1 else 'pages'}: {', '.join(named)}{rest}"


def _parsed(text: str) -> Mapping[str, Any]:
    """The dictionary that the text stands for; an empty one if it was cut on its way, or is none."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {}
    return value if isinstance(value, dict) else {}
