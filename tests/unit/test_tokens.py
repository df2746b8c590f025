from __future__ import annotations

import base64
import hashlib
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from shared.tokens import MAX_REMEMBERED, TOKENIZER_FILE, _count_by_model, _words, count_tokens, most_tokens

READABLE = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn")), max_size=200)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def reference_count(tokenizer: Tokenizer, text: str) -> int | None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return None if tokenizer.token_to_id("[UNK]") in ids else len(ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "word",
        "Unbelievably, tokenization isn't magic.",
        "snake_case and CamelCase and a.b.c(d)[e]{f}",
        "déjà vu, naïve café — “quoted” … done",
        "Größenänderung über Straßenverkehrsordnung",
        "日本の文。中文",
        "한국어 문서",
        "Документация и примеры",
        "non\u00a0breaking\u2003spaces\u3000count",
        "https://example.org/a?b=c&d=%20#frag",
        "\t\tindented\n\n\ncode\r\n",
    ],
)
def test_counts_are_those_of_the_models_own_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    assert count_tokens(text) == reference_count(tokenizer, text)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(READABLE, st.text(string.printable.replace("\x0b", "").replace("\x0c", ""), max_size=300)))
def test_any_readable_text_counts_as_the_models_tokenizer_counts_it(tokenizer: Tokenizer, text: str) -> None:
    expected = reference_count(tokenizer, text)
    assert count_tokens(text) == expected or expected is None


@settings(max_examples=300, deadline=None)
@given(
    word=st.text(
        st.one_of(
            st.characters(min_codepoint=0x2E80, max_codepoint=0xFFEF, exclude_categories=("Cs", "Z")),
            st.sampled_from(
                "\u4e00\u3400\uf900\U00020000\U0002f800\u3001\u3005\u30fb\u309b\uff01\u0301\u200da-e\u0301"
            ),
        ),
        max_size=20,
    ).map(lambda text: "".join(text.split()))
)
def test_an_east_asian_word_that_is_counted_in_parts_counts_as_it_does_whole(word: str) -> None:
    assert count_tokens(word) == _count_by_model(word)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.text(max_size=40), max_size=5))
def test_counts_of_texts_joined_by_whitespace_add_up(parts: list[str]) -> None:
    assert count_tokens("\n".join(parts)) == sum(map(count_tokens, parts))


def test_a_word_that_the_vocabulary_cannot_spell_counts_its_characters() -> None:
    assert count_tokens("😀" * 10) == 10
    assert count_tokens("a" * 200) == 200
    assert count_tokens("é" * 300) >= 300


def test_the_count_is_not_cut_off_at_the_models_window() -> None:
    assert count_tokens("word " * 5000) == 5000


def test_an_endless_word_is_counted_without_being_remembered() -> None:
    known = len(_words)
    # A word that is cut to be counted may come out a little larger, never smaller.
    assert 2_000_000 <= count_tokens("ab+" * 1_000_000) < 2_000_100
    assert len(_words) <= known + 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.tokens.MAX_REMEMBERED", 100)
    _words.clear()
    assert count_tokens(" ".join(f"w{n}" for n in range(1000))) == sum(count_tokens(f"w{n}") for n in range(1000))
    assert len(_words) <= 100 < MAX_REMEMBERED


def test_the_vocabulary_is_the_file_that_the_notice_describes() -> None:
    digest = hashlib.sha256(TOKENIZER_FILE.read_bytes()).hexdigest()
    assert digest in (TOKENIZER_FILE.parent / "NOTICE.md").read_text()


# What other tokenizers make of a text


def _bytes(count: int) -> bytes:
    """Bytes as good as random, the same in every run."""
    return b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(count // 32 + 1))[:count]


def _letters(alphabet: str, count: int, word: int = 10**6) -> str:
    """Letters of `alphabet` as good as random, in words of `word` letters."""
    letters = "".join(alphabet[value % len(alphabet)] for value in _bytes(count))
    return " ".join(letters[start : start + word] for start in range(0, count, word))


def _characters(first: int, last: int, count: int) -> str:
    values = _bytes(count * 3)
    numbers = (int.from_bytes(values[n * 3 : n * 3 + 3]) for n in range(count))
    return "".join(chr(first + number % (last - first)) for number in numbers)


WORDS = "documentation configuration internationalization authentication asynchronous representation dependencies"

#: Texts that byte-pair tokenizers find hard, and how many tokens OpenAI's cl100k_base was measured to make of them.
HARD: dict[str, tuple[str, int]] = {
    "base64": (base64.b64encode(_bytes(3000)).decode(), 2847),
    "base64 in lines": (base64.encodebytes(_bytes(3000)).decode(), 2911),
    "hexadecimal": (_bytes(2000).hex(), 2251),
    "hashes": (" ".join(_bytes(2000).hex()[n : n + 40] for n in range(0, 4000, 40)), 2331),
    "digits": (_letters(string.digits, 3000), 1000),
    "numbers": (_letters(string.digits, 3000, 7), 1714),
    "small letters": (_letters(string.ascii_lowercase, 3000, 9), 1687),
    "rare small letters": (_letters("qzxjkvw", 3000), 1999),
    "capitals": (_letters(string.ascii_uppercase, 3000, 9), 1838),
    "letters": (_letters(string.ascii_letters, 3000, 8), 2058),
    "single letters": (_letters(string.ascii_letters, 1000, 1), 1000),
    "marks": (_letters(string.punctuation, 3000), 1978),
    "shouting": (WORDS.upper(), 18),
    "capitals within": ("".join(c.upper() if n % 2 else c for n, c in enumerate(WORDS)), 61),
    "camel case": (WORDS.title().replace(" ", ""), 9),
    "minified": ("!function(t,e){for(r=0;r<n.length;r++)i[n[r]]&&o(i[n[r]]=0x1f,a)}(this,{});" * 20, 700),
    "indented": ("\n            x=1" * 100, 500),
    "aligned": (("| a" + " " * 30 + "| b" + " " * 7) * 50, 300),
    "blank": (_letters(" \n\ta", 3000), 1414),
    "no-break spaces": ("a\u00a0" * 500, 1000),
    "Chinese": ("一个简单的中文句子。用来测试分词器。" * 40, 720),
    "rare Chinese": (_characters(0x4E00, 0x9FFF, 800), 1900),
    "rarest Chinese": (_characters(0x20000, 0x2A6DF, 800), 3173),
    "Korean": (_characters(0xAC00, 0xD7A3, 800), 2062),
    "Russian": ("Документация и примеры использования " * 40, 361),
    "Hindi": ("हिन्दी भाषा में लिखा गया " * 40, 961),
    "Thai": ("ภาษาไทยเป็นภาษาที่มีระดับเสียง" * 40, 1240),
    "Amharic": ("አማርኛ ቋንቋ ነው " * 60, 1621),
    "cuneiform": (_characters(0x12000, 0x12399, 600), 2339),
    "emoji": (_characters(0x1F300, 0x1FAFF, 600), 1762),
    "families": ("👩\u200d👩\u200d👧\u200d👦" * 100, 1800),
    "flags": ("🇩🇪🇫🇷" * 200, 2400),
    "stacked accents": (("a" + "\u0301\u0316\u0327\u033f") * 300, 2400),
    "unseen marks": ("a" + "\U000e0101" * 1000, 4001),
    "mathematical letters": (_characters(0x1D400, 0x1D7FF, 600), 1790),
    "English": ("The quick brown fox jumps over the lazy dog, and nobody minds it at all. " * 40, 681),
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_no_other_tokenizer_makes_more_of_a_text_than_is_reckoned_with(name: str) -> None:
    text, measured = HARD[name]
    assert measured <= most_tokens(text) <= len(text.encode()) + len(text.split())


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=300))
def test_what_is_reckoned_with_is_never_less_than_the_count(text: str) -> None:
    assert most_tokens(text) >= count_tokens(text)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.text(max_size=40), max_size=5))
def test_what_is_reckoned_with_adds_up_over_paragraphs(parts: list[str]) -> None:
    whole = "\n\n".join(parts)
    assert most_tokens(whole) <= sum(map(most_tokens, parts)) + 2 * len(parts)
