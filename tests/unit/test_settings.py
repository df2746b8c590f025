"""One object, read once; a wrong value names its variable, the fault and a right example."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.models import Placement
from shared.settings import Settings, load_settings, variables_of
from tests.privileges import as_nobody


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        for variable in variables_of(name):
            monkeypatch.delenv(variable, raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings(None)


def test_without_any_variable_the_local_models_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert (settings.provider, settings.chat_model) == ("local", None)
    assert (settings.embedding_provider, settings.embedding_model) == ("local", "all-MiniLM-L6-v2")


OPENAI_BOOK = """
OPENAI_API_KEY=sk-canary
OPENAI_MODEL=gpt-4.1-nano
OPENAI_EMBEDDING_MODEL=text-embedding-3-small
QDRANT_URL=https://cluster.example:6333
QDRANT_API_KEY=qd-canary
BOOK_CONTENT_PATH=./book_content
CHUNK_SIZE=1000
CHUNK_OVERLAP=200
API_HOST=0.0.0.0
API_PORT=7860
LOG_LEVEL=info
RATE_LIMIT_REQUESTS=60
RATE_LIMIT_WINDOW=60
ALLOWED_ORIGINS=http://localhost:3000,https://docs.example
MAX_CONTEXT_MESSAGES=3
CONTEXT_WINDOW_SIZE=4000
BATCH_SIZE=100
MAX_CONCURRENT_REQUESTS=10
HEALTH_CHECK_INTERVAL=30
CHATKIT_WORKFLOW_ID=wf_demo
"""

GEMINI_BOOK = """
GENERATIVE_MODEL_PROVIDER=gemini
GEMINI_API_KEY=AIza-canary
EMBEDDING_MODEL=gemini-embedding-001
GENERATIVE_MODEL=gemini-pro
OPENAI_API_KEY=
QDRANT_HOST=https://cluster.example:6333
QDRANT_API_KEY=qd-canary
QDRANT_COLLECTION_NAME=book_content
QDRANT_VECTOR_SIZE=3072
"""


def test_the_openai_book_s_env_file_works_unchanged(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(OPENAI_BOOK)
    settings = load_settings(tmp_path / ".env")
    assert (settings.provider, settings.chat_model) == ("openai", "gpt-6-luna")
    assert settings.embedding_model == "text-embedding-3-small"
    assert (settings.chunk_size, settings.chunk_overlap) == (1000, 200)
    assert settings.content_root == Path("book_content")
    assert settings.qdrant_url == "https://cluster.example:6333"
    assert settings.allowed_origins == ("http://localhost:3000", "https://docs.example")
    assert (settings.rate_limit_requests, settings.rate_limit_window) == (60, 60)


def test_the_gemini_book_s_env_file_works_though_its_model_has_retired(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(GEMINI_BOOK)
    settings = load_settings(tmp_path / ".env")
    assert (settings.provider, settings.chat_model) == ("gemini", "gemini-3.5-flash-lite")
    assert (settings.embedding_model, settings.embedding_dimensions) == ("gemini-embedding-001", 3072)
    assert settings.collection == "book_content"
    assert settings.qdrant_url == "https://cluster.example:6333"


def test_a_server_of_one_s_own_without_an_embedding_model_keeps_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, OPENAI_BASE_URL="http://localhost:11434/v1", CHAT_MODEL="qwen3")
    assert (settings.provider, settings.chat_model, settings.embedding_provider) == ("openai", "qwen3", "local")


@pytest.mark.parametrize(
    ("variable", "value", "example"),
    [
        ("CHUNK_SIZE", "many", "CHUNK_SIZE=600"),
        ("API_PORT", "99999", "API_PORT=7860"),
        ("PORT", "0", "PORT=7860"),
        ("OPENAI_BASE_URL", "localhost:11434", "OPENAI_BASE_URL=http://"),
        ("ALLOWED_ORIGINS", "*", "ALLOWED_ORIGINS=https://"),
        ("ALLOWED_ORIGINS", "https://a.example/path", "ALLOWED_ORIGINS=https://"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=INFO"),
        ("REDIS_URL", "http://somewhere", "REDIS_URL=redis://"),
        ("TRUSTED_PROXIES", "my-proxy", "TRUSTED_PROXIES=10.0.0.0/8"),
        ("CHUNK_OVERLAP", "400", "CHUNK_OVERLAP=100"),
        ("QDRANT_COLLECTION_NAME", "a/b", "QDRANT_COLLECTION_NAME=lectern"),
        ("MODEL_PROVIDER", "gemini", "GEMINI_API_KEY="),
        ("QDRANT_SHARDS", "0", "QDRANT_SHARDS=3"),
        ("QDRANT_REPLICAS", "two", "QDRANT_REPLICAS=3"),
        ("QDRANT_WRITE_CONSISTENCY", "2", "QDRANT_WRITE_CONSISTENCY=2 with QDRANT_REPLICAS=3"),
    ],
)
def test_a_wrong_value_is_one_line_with_variable_and_example(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, example: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(monkeypatch, **{variable: value})
    assert "\n" not in error.value.message
    assert example in error.value.message
    assert error.value.message.split(":")[0].isupper()


@pytest.mark.parametrize(
    ("variables", "limit", "example"),
    [
        ({"CHUNK_SIZE": "150"}, "100 is more than half of CHUNK_SIZE=150; set it to 75", "CHUNK_OVERLAP"),
        ({"CHUNK_SIZE": "100"}, "100 is more than half of CHUNK_SIZE=100; set it to 50", "CHUNK_OVERLAP"),
        ({"CHUNK_OVERLAP": "301"}, "301 is more than half of CHUNK_SIZE=600; set it to 300", "CHUNK_OVERLAP"),
        ({"CHUNK_SIZE": "100", "CHUNK_OVERLAP": "0", "MIN_CHUNK_SIZE": "101"},
         "101 is more than CHUNK_SIZE=100", "MIN_CHUNK_SIZE"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_go_together_name_the_limit_and_a_value_that_keeps_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], limit: str, example: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(monkeypatch, **variables)
    assert error.value.message.startswith(f"{example}: {limit}")
    good = error.value.message.rpartition(f"{example}=")[2]
    assert load(monkeypatch, **{**variables, example: good})


def test_every_wrong_value_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(monkeypatch, CHUNK_SIZE="x", API_PORT="y")
    assert [line.split(":")[0] for line in error.value.message.splitlines()] == ["CHUNK_SIZE", "API_PORT"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Placement(None, None, None)),
        ({"QDRANT_SHARDS": "6"}, Placement(6, None, None)),
        ({"QDRANT_REPLICAS": "1"}, Placement(None, 1, 1)),
        ({"QDRANT_REPLICAS": "2"}, Placement(None, 2, 2)),
        ({"QDRANT_SHARDS": "6", "QDRANT_REPLICAS": "3"}, Placement(6, 3, 2)),
        ({"QDRANT_REPLICAS": "3", "QDRANT_WRITE_CONSISTENCY": "1"}, Placement(None, 3, 1)),
        ({"QDRANT_REPLICAS": "3", "QDRANT_WRITE_CONSISTENCY": "3"}, Placement(None, 3, 3)),
    ],
)
def test_a_write_goes_to_more_than_half_of_the_replicas_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: Placement
) -> None:
    assert load(monkeypatch, **variables).placement == expected


def test_the_comma_inside_a_glob_s_braces_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, CONTENT_EXCLUDE="{de,fr}/, drafts/,**/*.{md,mdx}")
    assert settings.content_exclude == ("{de,fr}/", "drafts/", "**/*.{md,mdx}")


def test_an_env_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("OPENAI_API_KEY=canary\xe9".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8") as error:
        load_settings(tmp_path / ".env")
    assert "canary" not in str(error.value)


def test_an_env_file_without_permission_is_named() -> None:
    with as_nobody() as folder:
        (folder / ".env").write_text("LOG_LEVEL=INFO\n")
        (folder / ".env").chmod(0)
        with pytest.raises(ConfigurationError, match=r"\.env cannot be read \(Permission denied\)"):
            load_settings(folder / ".env")


def test_a_wrong_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(monkeypatch, ADMIN_API_KEY="canary", REDIS_URL="http://:canary@host")
    assert "canary" not in str(error.value)


def test_no_secret_shows_in_the_settings_representation(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(OPENAI_BOOK + "REDIS_URL=redis://:rd-canary@h:1/0\nAPI_KEYS=key-canary\n")
    assert "canary" not in repr(load_settings(tmp_path / ".env"))


def test_several_people_may_log_in_at_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, FLOWER_BASIC_AUTH="ada:one-canary, ben:two:with-a-colon")
    assert [user.get_secret_value() for user in settings.flower_basic_auth] == [
        "ada:one-canary",
        "ben:two:with-a-colon",
    ]
    assert "canary" not in repr(settings)
    assert settings.flower_read_only is True


@pytest.mark.parametrize("login", ["canary", ":canary", "canary:", "ada:good,canary", "ada:canary-é"])
def test_a_login_that_nobody_could_use_is_refused(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    with pytest.raises(ConfigurationError, match=r"FLOWER_BASIC_AUTH: must be user:password") as error:
        load(monkeypatch, FLOWER_BASIC_AUTH=login)
    assert "canary" not in str(error.value)


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    with pytest.raises(ValueError, match="frozen"):
        settings.chunk_size = 5


@pytest.mark.parametrize(
    ("named", "used"), [("gpt-4.1-nano", "gpt-6-luna"), ("gpt-4.1-mini", "gpt-4.1-mini"), ("gpt-4o", "gpt-4o")]
)
def test_an_openai_model_that_has_retired_is_replaced_by_the_default(
    monkeypatch: pytest.MonkeyPatch, named: str, used: str
) -> None:
    assert load(monkeypatch, OPENAI_API_KEY="k", CHAT_MODEL=named).chat_model == used


def test_a_server_of_one_s_own_may_call_its_models_what_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, OPENAI_BASE_URL="http://localhost:1/v1", CHAT_MODEL="gpt-4.1-nano")
    assert settings.chat_model == "gpt-4.1-nano"


@pytest.mark.parametrize(
    ("variables", "tokens"),
    [
        ({}, None),
        ({"OPENAI_API_KEY": "k"}, 8191),
        ({"GEMINI_API_KEY": "k"}, 2048),
        ({"OPENAI_BASE_URL": "http://localhost:1/v1", "OPENAI_EMBEDDING_MODEL": "bge-m3"}, 2048),
        ({"OPENAI_API_KEY": "k", "EMBEDDING_MAX_TOKENS": "4096"}, 4096),
        ({"OPENAI_BASE_URL": "http://localhost:1/v1", "EMBEDDING_MAX_TOKENS": "4096"}, None),
    ],
    ids=["local", "OpenAI", "Gemini", "own server", "named", "own server beside the local model"],
)
def test_passages_are_as_long_as_the_embedding_model_reads(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], tokens: int | None
) -> None:
    assert load(monkeypatch, **variables).embedding_limit == tokens
