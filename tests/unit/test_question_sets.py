"""Question sets: folders in BEIR's layout, pages made of a corpus, and which passage is which document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.beir import read_beir
from cli.corpus_pages import Document, page_place, page_text, write_pages
from cli.errors import BadInput
from cli.question_sets import ANYWHERE, QuestionSet, read_golden_set
from shared.golden import Place
from worker.ingestion.markup.markdown import parse_markdown

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "sails", "title": "Sails", "text": "Reef before twenty knots."},
    {"_id": "boat/engine", "title": "", "text": "Starting it\nTurn the key."},
    {"_id": "https://docs.example/guide/run#ports", "title": "Ports", "text": "Ports\n\nThe port is 7860."},
    {"_id": "https://docs.example/guide/run#stop", "title": "Stop it", "text": "Press Ctrl-C."},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "q1", "text": "When do I reef?", "answers": ["twenty knots", "20 knots", "twenty knots"]},
    {"_id": "q2", "text": "Which port?", "history": [{"question": "How do I run it?", "answer": "With one command."}]},
    {"_id": "q3", "text": "Nobody has judged this."},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\tsails\t2\nq2\thttps://docs.example/guide/run#ports\t1\nq2\tsails\t0\n"


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def beir(folder: Path, **files: str) -> Path:
    """A good folder, with these files in place of its own."""
    texts = {"corpus.jsonl": lines(DOCUMENTS), "queries.jsonl": lines(QUERIES), "qrels.tsv": QRELS}
    texts |= {name.replace("_", "."): text for name, text in files.items()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def passage(path: str, *anchors: str, url: str = "", title: str = "A title") -> dict[str, Any]:
    """A row of what was retrieved."""
    return {"path": path, "url": url or f"/documents/{path}", "title": title, "anchors": list(anchors), "holds": True}


def test_a_folder_gives_judged_questions_and_those_without_an_answer(tmp_path: Path) -> None:
    questions = read_beir(beir(tmp_path, unanswerable_jsonl=lines([{"_id": "u1", "text": "What of Mordor?"}])))
    first, second, third = questions.questions
    assert (first.text, dict(first.grades), first.answers) == (
        "When do I reef?",
        {"sails": 2.0},
        ("twenty knots", "20 knots"),
    )
    assert second.grades == {"https://docs.example/guide/run#ports": 1.0, "sails": 0.0}
    assert second.history == (("How do I run it?", "With one command."),)
    assert (third.id, third.refuse, third.answers) == ("u1", True, ())
    assert questions.document_count == 4


@pytest.mark.parametrize("qrels", ["q1\tsails\t1\n", "q1\t0\tsails\t1\n", "\ufeffq1\tsails\t1\r\n\r\n"])
def test_judgements_come_with_and_without_a_head_and_in_trec_s_layout(tmp_path: Path, qrels: str) -> None:
    assert read_beir(beir(tmp_path, qrels_tsv=qrels)).questions[0].grades == {"sails": 1.0}


def test_beir_s_own_folder_of_judgements_is_read(tmp_path: Path) -> None:
    beir(tmp_path)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels.tsv").rename(tmp_path / "qrels" / "test.tsv")
    assert len(read_beir(tmp_path).questions) == 2


def test_answers_that_are_somebody_s_wording_are_not_looked_for(tmp_path: Path) -> None:
    wording = "To reef the sail, wait until the wind has reached twenty knots, then lower the halyard with care."
    rows = [{**QUERIES[0], "answers": [wording]}, {**QUERIES[1], "answers": [wording, "7860"]}]
    assert [asked.answers for asked in read_beir(beir(tmp_path, queries_jsonl=lines(rows))).questions] == [(), ()]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"corpus_jsonl": "{}\n"}, 'corpus.jsonl, line 1: "_id" must be a text'),
        ({"corpus_jsonl": lines(DOCUMENTS) + "{\n"}, "corpus.jsonl, line 5: not JSON"),
        ({"corpus_jsonl": "[1]\n"}, "corpus.jsonl, line 1: not an object"),
        ({"corpus_jsonl": "[" * 100_000 + "\n"}, "corpus.jsonl, line 1: not JSON"),
        ({"corpus_jsonl": lines([DOCUMENTS[0]] * 2)}, "corpus.jsonl, line 2: there are two of 'sails'"),
        ({"queries_jsonl": lines([{"_id": "q1"}])}, 'queries.jsonl, line 1: "text" must be a text'),
        ({"queries_jsonl": lines([{"_id": "q1", "text": "x" * 10_001}])}, "longer than 10,000"),
        ({"queries_jsonl": lines([{**QUERIES[0], "answers": "x"}])}, '"answers" must be a list'),
        ({"queries_jsonl": lines([{**QUERIES[0], "history": ["x"]}])}, '"history" must be a list'),
        ({"queries_jsonl": lines([{**QUERIES[0], "history": [{"answer": "x"}]}])}, '"question" must be a text'),
        ({"qrels_tsv": "q1 sails 1\nq1 sails 1\n"}, "qrels.tsv, line 2: not `question, document, grade`"),
        ({"qrels_tsv": QRELS + "q1\tsails\tnan\n"}, "qrels.tsv, line 5: not"),
        ({"qrels_tsv": QRELS + "q1\tmasts\t1\n"}, "qrels.tsv, line 5: corpus.jsonl has no document 'masts'"),
        ({"qrels_tsv": "other\tsails\t1\n", "queries_jsonl": lines(QUERIES[1:])}, "no question of queries.jsonl"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_line(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_beir(beir(tmp_path, **files))
    assert says in refused.value.message


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    (beir(tmp_path) / missing).unlink()
    with pytest.raises(BadInput, match=f"there is no {missing}"):
        read_beir(tmp_path)


def test_what_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    beir(tmp_path)
    (tmp_path / "queries.jsonl").write_bytes(lines(QUERIES).encode() + b'{"_id": "caf\xe9"}\n')
    with pytest.raises(BadInput, match=r"queries\.jsonl, line 4: not UTF-8"):
        read_beir(tmp_path)


# Documents and passages


@pytest.mark.parametrize(
    "found",
    [
        passage("sails.md"),
        passage("sails.mdx", "reefing"),
        passage("other.md", url="https://boat.example/sails"),
        passage("other.md", title="sails"),
    ],
)
def test_a_document_is_known_by_path_address_or_title(tmp_path: Path, found: dict[str, Any]) -> None:
    assert read_beir(beir(tmp_path)).documents_of(found) == ["sails"]


@pytest.mark.parametrize(
    ("found", "id_"),
    [
        (passage("x.md", "stop", url="https://docs.example/guide/run#stop"), "https://docs.example/guide/run#stop"),
        (passage("docs.example/guide/run.md", "stop"), "https://docs.example/guide/run#stop"),
        (passage("boat/engine.md", "top"), "boat/engine"),
    ],
)
def test_a_document_that_is_a_heading_is_known_by_its_anchor(tmp_path: Path, found: dict[str, Any], id_: str) -> None:
    assert read_beir(beir(tmp_path)).documents_of(found) == [id_]


def test_a_joined_passage_is_all_of_its_sections_in_their_order_and_pages_count_once(tmp_path: Path) -> None:
    questions = read_beir(beir(tmp_path))
    asked = questions.questions[0]
    found = [passage("docs.example/guide/run.md", "stop", "ports"), passage("sails.md", "a"), passage("sails.md", "b")]
    run = "https://docs.example/guide/run"
    assert questions.ranking(asked, [passage("x.md"), *found]) == ["x.md ", f"{run}#stop", f"{run}#ports", "sails"]


def golden(tmp_path: Path, text: str) -> QuestionSet:
    file = tmp_path / "golden.yaml"
    file.write_text(text)
    return read_golden_set(file)


def test_golden_places_are_pages_or_headings(tmp_path: Path) -> None:
    questions = golden(tmp_path, "- {question: a, expect: [run.md#ports, ./stop.md]}\n")
    (asked,) = questions.questions
    assert questions.pages == ("run.md", "stop.md")
    found = [passage("run.md", "top"), passage("run.md", "x", "ports"), passage("stop.md", "end")]
    assert questions.ranking(asked, found) == ["run.md top", "run.md#ports", "stop.md"]


def test_a_passage_without_the_words_is_not_the_place(tmp_path: Path) -> None:
    questions = golden(tmp_path, "- {question: a, expect: run.md, must_contain: x}\n- {question: b, must_contain: x}\n")
    placed, anywhere = questions.questions
    without = {**passage("run.md", "top"), "holds": False}
    assert questions.ranking(placed, [without, passage("run.md", "end")]) == ["run.md top", "run.md"]
    assert questions.ranking(anywhere, [without, passage("x.md", "end")]) == ["run.md top", ANYWHERE]


def test_a_golden_file_with_a_fault_is_refused_with_all_its_faults(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        golden(tmp_path, "- question: a\n- {question: b, expect: c.md}\n- just words\n")
    first, second = refused.value.message.splitlines()
    assert "golden.yaml: line 1: `expect` is missing" in first
    assert "golden.yaml: line 3: not a question" in second


# Pages


def test_pages_are_named_so_that_no_two_documents_share_one() -> None:
    names = [
        "Normans#0",
        "Normans#1",
        "normans#0",
        "a/b",
        "a-b",
        "..",
        ".hidden",
        "index",
        "x" * 500,
        "x" * 501,
        "\u00fc",
    ]
    paths = {page_place(name).path for name in names}
    assert len({path.lower() for path in paths}) == len(names)
    assert all("/" not in path and not path.startswith((".", "_")) and len(path) < 100 for path in paths)
    assert page_place("sails") == Place("sails.md")
    assert page_place("https://docs.example/en/run#ports") == Place("docs.example/en/run.md", "ports")
    assert page_place("https://docs.example/../x#y").path.count("..") == 0


def test_an_address_s_sections_are_headings_with_its_anchors() -> None:
    documents = [Document(row["_id"], row["title"], row["text"]) for row in DOCUMENTS[2:]]
    text = page_text([(page_place(document.id), document) for document in documents])
    assert text.startswith('---\ntitle: "Run"\n---\n')
    sections = [section for section in parse_markdown(text.partition("---\n\n")[2]) if section.heading]
    assert [(section.heading.text, section.heading.anchor) for section in sections if section.heading] == [
        ("Ports", "ports"),
        ("Stop it", "stop"),
    ]
    assert text.count("Ports") == 1


def test_text_that_looks_like_markup_stays_text() -> None:
    code = "```sh\n# kept <as> it is\n```"
    raw = f"# not a heading\nTitle\n===\n---\n<b>bold</b> 1 < 2\n\n{code}\n::: note\nx {{#id}}\n```\nopen"
    text = page_text([(Place("a.md"), Document("a", "A", raw))]).partition("---\n\n")[2]
    sections = parse_markdown(text)
    assert [section.heading for section in sections] == [None]
    whole = "".join(block.text for block in sections[0].blocks)
    for words in ("not a heading", "bold", "kept <as> it is", "1 < 2", "open"):
        assert words in whole
    assert text.endswith("```\n")


def test_a_document_without_a_title_has_its_short_first_line(tmp_path: Path) -> None:
    assert page_text([(Place("a.md"), Document("a", "", "Starting it\nTurn."))]).startswith('---\ntitle: "Starting it"')
    assert page_text([(Place("a.md"), Document("a", "", "x" * 200))]) == "x" * 200 + "\n"


def test_pages_are_written_into_an_empty_folder_only(tmp_path: Path) -> None:
    documents = [Document(row["_id"], row["title"], row["text"]) for row in DOCUMENTS]
    assert write_pages(documents, tmp_path / "pages") == 3
    assert (tmp_path / "pages" / "docs.example" / "guide" / "run.md").is_file()
    with pytest.raises(BadInput, match="is not empty"):
        write_pages(documents, tmp_path / "pages")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="is not empty"):
        write_pages(documents, tmp_path / "file")
