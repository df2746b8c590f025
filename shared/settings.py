"""Every setting, read from the environment (and `.env`) once. The only module that looks at the environment.

The variable names of older book back ends are accepted as aliases, so that their `.env` files work unchanged; where
several names stand for one setting, the first that is set wins. `docs/configuration.md` lists them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from shared.content import PAGE_ENDINGS
from shared.errors import ConfigurationError
from shared.models import Placement
from shared.redis_address import TLS_FILES, RedisAddress, parse_redis_address

GEMINI_BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta/openai/"
#: The name that stands for the model in the `local` extra; `shared/local_model.py` holds it.
LOCAL_EMBEDDING_MODEL: Final = "all-MiniLM-L6-v2"

#: Gemini models that no longer answer, which old `.env` files still name (shut down 2025-04 to 2026-12).
RETIRED_GEMINI_MODELS: Final = ("gemini-pro", "gemini-1.0", "gemini-1.5", "gemini-2.0", "gemini-2.5")
#: OpenAI models that no longer answer (shut down 2026-10-23, by OpenAI's page on deprecations), by their exact names.
RETIRED_OPENAI_MODELS: Final = (
    "gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4-turbo-preview", "gpt-4.1-nano", "o1", "o3-mini", "o4-mini",
)  # fmt: skip
DEFAULT_CHAT_MODEL: Final = {"openai": "gpt-6-luna", "gemini": "gemini-3.5-flash-lite"}
#: Tokens that embedding models read of one text: OpenAI's refuse a longer one, Gemini's leave out its end. Of a server
#: of one's own nothing is known; 2,048 is what the usual ones read as they are set up.
EMBEDDING_LIMITS: Final = {"openai": 8191, "gemini": 2048, "own server": 2048}
DEFAULT_EMBEDDING_MODEL: Final = {"openai": "text-embedding-3-small", "gemini": "gemini-embedding-001"}

#: Files other than Markdown that can be pages (`worker/ingestion/formats`).
DOCUMENT_ENDINGS: Final = (".html", ".htm", ".pdf", ".docx", ".epub", ".txt")

#: A comma outside of braces.
_SEPARATOR: Final = re.compile(r",(?![^{}]*\})")

#: What an address may consist of that other programs are handed: printable ASCII without quotes and backslashes.
_FETCHABLE: Final = re.compile(r"[!#-&(-\[\]-~]{1,2000}")
_ONE_WORD: Final = re.compile(r"[!-~]{1,4096}")

Provider = Literal["openai", "gemini", "local"]
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """One frozen object; defaults suit one machine. A number's unit is in its description."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True,
        populate_by_name=True, env_ignore_empty=True,
    )  # fmt: skip

    # Models
    model_provider: Literal["auto", "openai", "gemini", "local"] = Field(
        default="auto", validation_alias=_names("MODEL_PROVIDER", "GENERATIVE_MODEL_PROVIDER")
    )
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    gemini_api_key: SecretStr | None = Field(default=None, validation_alias="GEMINI_API_KEY")
    chat_base_url: str | None = Field(default=None, validation_alias="CHAT_BASE_URL")
    chat_api_key: SecretStr | None = Field(default=None, validation_alias="CHAT_API_KEY")
    fallback_model: str | None = Field(default=None, validation_alias="FALLBACK_MODEL")
    openai_chat_model: str | None = Field(
        default=None, validation_alias=_names("CHAT_MODEL", "OPENAI_MODEL", "OPENAI_CHAT_MODEL")
    )
    gemini_chat_model: str | None = Field(
        default=None, validation_alias=_names("GENERATIVE_MODEL", "GEMINI_RAG_MODEL", "CHAT_MODEL")
    )
    openai_embedding_model: str | None = Field(
        default=None, validation_alias=_names("OPENAI_EMBEDDING_MODEL", "EMBEDDING_MODEL")
    )
    gemini_embedding_model: str | None = Field(default=None, validation_alias="EMBEDDING_MODEL")
    configured_dimensions: int | None = Field(
        default=None, ge=1, le=8192, validation_alias=_names("EMBEDDING_DIMENSIONS", "QDRANT_VECTOR_SIZE")
    )
    embedding_max_tokens: int | None = Field(
        default=None, ge=512, le=1_000_000, validation_alias="EMBEDDING_MAX_TOKENS", description="tokens of one text"
    )
    embed_batch_size: int | None = Field(
        default=None, ge=1, le=2048, validation_alias=_names("EMBED_BATCH_SIZE", "BATCH_SIZE")
    )
    embed_requests_per_minute: int | None = Field(default=None, ge=1, validation_alias="EMBED_REQUESTS_PER_MINUTE")
    embed_tokens_per_minute: int | None = Field(default=None, ge=1000, validation_alias="EMBED_TOKENS_PER_MINUTE")
    embed_items_per_minute: int | None = Field(default=None, ge=1, validation_alias="EMBED_ITEMS_PER_MINUTE")
    embed_patience_minutes: int = Field(default=60, ge=1, le=10_080, validation_alias="EMBED_PATIENCE_MINUTES")
    max_concurrent_requests: int = Field(default=10, ge=1, le=256, validation_alias="MAX_CONCURRENT_REQUESTS")
    embedding_threads: int = Field(default=2, ge=1, le=64, validation_alias="EMBEDDING_THREADS")
    max_answer_tokens: int = Field(default=1000, ge=16, le=32_000, validation_alias="MAX_ANSWER_TOKENS")
    model_timeout: float = Field(default=20, gt=0, le=600, validation_alias="MODEL_TIMEOUT", description="seconds")

    # Stores
    qdrant_url: str = Field(default="http://localhost:6333", validation_alias=_names("QDRANT_URL", "QDRANT_HOST"))
    qdrant_api_key: SecretStr | None = Field(default=None, validation_alias="QDRANT_API_KEY")
    collection: str = Field(
        default="lectern", pattern=r"^[A-Za-z0-9._-]{1,100}$",
        validation_alias=_names("QDRANT_COLLECTION_NAME", "QDRANT_COLLECTION"),
    )  # fmt: skip
    qdrant_shards: int | None = Field(default=None, ge=1, le=1000, validation_alias="QDRANT_SHARDS")
    qdrant_replicas: int | None = Field(default=None, ge=1, le=100, validation_alias="QDRANT_REPLICAS")
    qdrant_write_consistency: int | None = Field(
        default=None, ge=1, le=100, validation_alias="QDRANT_WRITE_CONSISTENCY"
    )
    redis_url: SecretStr = Field(default=SecretStr("redis://localhost:6379/0"), validation_alias="REDIS_URL")

    # Content
    content_root: Path = Field(default=Path("docs"), validation_alias=_names("CONTENT_ROOT", "BOOK_CONTENT_PATH"))
    content_include: CommaSeparated = Field(default=(), validation_alias="CONTENT_INCLUDE")
    content_exclude: CommaSeparated = Field(default=(), validation_alias="CONTENT_EXCLUDE")
    content_formats: CommaSeparated = Field(default=(), validation_alias="CONTENT_FORMATS")
    site_url: str | None = Field(default=None, validation_alias="SITE_URL")
    docs_route: str | None = Field(default=None, validation_alias="DOCS_ROUTE")
    site_profile: Literal["auto", "website", "docusaurus", "mkdocs", "mdbook", "plain"] = Field(
        default="auto", validation_alias="SITE_PROFILE"
    )
    site_trailing_slash: bool | None = Field(default=None, validation_alias="SITE_TRAILING_SLASH")
    docs_versions: CommaSeparated = Field(default=(), validation_alias="DOCS_VERSIONS")
    docs_locales: CommaSeparated = Field(default=(), validation_alias="DOCS_LOCALES")
    index_unlisted: bool = Field(default=False, validation_alias="INDEX_UNLISTED")
    chunk_size: int = Field(default=600, ge=100, le=2000, validation_alias="CHUNK_SIZE", description="tokens")
    chunk_overlap: int = Field(default=100, ge=0, le=500, validation_alias="CHUNK_OVERLAP", description="tokens")
    min_chunk_size: int = Field(default=50, ge=0, le=500, validation_alias="MIN_CHUNK_SIZE", description="tokens")
    max_page_bytes: int = Field(default=10 * 2**20, ge=1024, validation_alias="MAX_PAGE_BYTES")

    # Source, where it is not the content root
    source_git_url: str | None = Field(default=None, validation_alias="SOURCE_GIT_URL")
    source_git_ref: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9._/][A-Za-z0-9._/-]{0,199}$", validation_alias="SOURCE_GIT_REF"
    )
    source_git_folder: str | None = Field(default=None, validation_alias="SOURCE_GIT_FOLDER")
    source_git_user: str = Field(
        default="x-access-token", pattern=r"^[!-9;-~]{1,255}$", validation_alias="SOURCE_GIT_USER"
    )
    source_git_token: SecretStr | None = Field(default=None, validation_alias="SOURCE_GIT_TOKEN")
    source_sitemap_url: str | None = Field(default=None, validation_alias="SOURCE_SITEMAP_URL")
    source_allow_private: bool = Field(default=False, validation_alias="SOURCE_ALLOW_PRIVATE")
    source_ca_file: Path | None = Field(default=None, validation_alias="SOURCE_CA_FILE")
    source_timeout: int = Field(default=300, ge=1, le=540, validation_alias="SOURCE_TIMEOUT", description="seconds")
    source_max_bytes: int = Field(default=2**30, ge=1024, validation_alias="SOURCE_MAX_BYTES")
    source_max_pages: int = Field(default=10_000, ge=1, le=100_000, validation_alias="SOURCE_MAX_PAGES")
    source_poll_minutes: int | None = Field(default=None, ge=1, le=10_080, validation_alias="SOURCE_POLL_MINUTES")
    sources_dir: Path = Field(default=Path(".lectern/sources"), validation_alias="SOURCES_DIR")
    webhook_secret: SecretStr | None = Field(default=None, min_length=16, validation_alias="WEBHOOK_SECRET")

    # HTTP
    api_host: str = Field(default="127.0.0.1", validation_alias="API_HOST")
    api_port: int = Field(default=7860, ge=1, le=65535, validation_alias=_names("API_PORT", "PORT"))
    admin_api_key: SecretStr | None = Field(default=None, min_length=16, validation_alias="ADMIN_API_KEY")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(default=(), validation_alias="API_KEYS")
    allowed_origins: CommaSeparated = Field(
        default=("http://localhost:3000", "http://127.0.0.1:3000"),
        validation_alias=_names("ALLOWED_ORIGINS", "CORS_ORIGINS"),
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(), validation_alias="TRUSTED_PROXIES"
    )
    rate_limit_requests: int = Field(default=60, ge=1, validation_alias=_names("RATE_LIMIT_REQUESTS", "RATE_LIMIT_RPM"))
    rate_limit_window: int = Field(
        default=60, ge=1, le=86_400, validation_alias="RATE_LIMIT_WINDOW", description="seconds"
    )
    rate_limit_key_requests: int = Field(default=600, ge=1, validation_alias="RATE_LIMIT_KEY_REQUESTS")
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, validation_alias="MAX_BODY_BYTES")

    # Answers
    max_context_messages: int = Field(
        default=3, ge=0, le=20, validation_alias="MAX_CONTEXT_MESSAGES", description="exchanges remembered"
    )
    session_minutes: int = Field(default=30, ge=1, le=1440, validation_alias="SESSION_MINUTES")
    context_window: int = Field(
        default=4000, ge=500, le=200_000, description="tokens of a prompt",
        validation_alias=_names("CONTEXT_WINDOW_SIZE", "CONTEXT_WINDOW"),
    )  # fmt: skip
    send_final: bool = Field(default=True, validation_alias="SEND_FINAL_EVENT")
    min_score: float | None = Field(default=None, ge=-1, le=1, validation_alias="MIN_SCORE", description="cosine")
    answer_cache_minutes: int = Field(default=60, ge=0, le=10_080, validation_alias="ANSWER_CACHE_MINUTES")

    # Questions
    question_log_days: int = Field(default=30, ge=0, le=3650, validation_alias="QUESTION_LOG_DAYS")
    chat_price_input: float | None = Field(
        default=None, ge=0, validation_alias="CHAT_PRICE_INPUT", description="US dollars a million tokens"
    )
    chat_price_output: float | None = Field(
        default=None, ge=0, validation_alias="CHAT_PRICE_OUTPUT", description="US dollars a million tokens"
    )

    # Releases
    ingest_on_start: bool = Field(default=False, validation_alias="INGEST_ON_START")
    keep_releases: int = Field(default=3, ge=1, le=1000, validation_alias="KEEP_RELEASES")
    golden_file: Path | None = Field(default=None, validation_alias="GOLDEN_FILE")
    gate_max_lost: int = Field(default=0, ge=0, le=1000, validation_alias="GATE_MAX_LOST")
    max_embed_tokens_per_job: int | None = Field(default=None, ge=1, validation_alias="MAX_EMBED_TOKENS_PER_JOB")
    embedding_price: float | None = Field(
        default=None, ge=0, validation_alias="EMBEDDING_PRICE", description="US dollars a million tokens"
    )

    # Processes
    worker_concurrency: int = Field(default=1, ge=1, le=256, validation_alias="WORKER_CONCURRENCY")
    worker_alive_file: Path | None = Field(default=None, validation_alias="WORKER_ALIVE_FILE")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", validation_alias="LOG_LEVEL"
    )
    log_format: Literal["console", "json"] = Field(default="console", validation_alias="LOG_FORMAT")
    flower_basic_auth: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), validation_alias="FLOWER_BASIC_AUTH"
    )
    flower_read_only: bool = Field(default=True, validation_alias="FLOWER_READ_ONLY")
    flower_port: int = Field(default=5555, ge=1, le=65535, validation_alias="FLOWER_PORT")

    # Stands before `_split` because the validator that is defined last runs first.
    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return tuple(ip_network(part, strict=False) for part in value)

    @field_validator(
        "content_include", "content_exclude", "content_formats", "docs_versions", "docs_locales", "allowed_origins",
        "api_keys", "trusted_proxies", "flower_basic_auth", mode="before",
    )  # fmt: skip
    @classmethod
    def _split(cls, value: Any) -> Any:
        """`a, b` or `["a", "b"]`: both spellings stand in existing files. A comma inside `{a,b}` parts nothing."""
        if not isinstance(value, str):
            return value
        return tuple(part for part in (p.strip(" '\"") for p in _SEPARATOR.split(value.strip("[] "))) if part)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("qdrant_url", "openai_base_url", "chat_base_url", "site_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        return value.rstrip("/")

    @field_validator("source_git_url", "source_sitemap_url")
    @classmethod
    def _source_url(cls, value: str | None) -> str | None:
        """Where to fetch from. Whether its host may be asked is decided at each fetch, by the addresses it has then."""
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("must be an https:// address")
        if not _FETCHABLE.fullmatch(value):
            raise ValueError("must be written in ASCII, without blanks, quotes and backslashes, in 2,000 characters")
        if "@" in parts.netloc:
            raise ValueError("must hold neither user nor password; SOURCE_GIT_TOKEN is the place for a token")
        return value.partition("#")[0]

    @field_validator("source_git_url")
    @classmethod
    def _no_query(cls, value: str | None) -> str | None:
        """An address that is named in messages must not hold a token in its query either; git could not use it."""
        if value is not None and "?" in value:
            raise ValueError("must end with the repository's path, without a question mark")
        return value

    @field_validator("source_git_folder")
    @classmethod
    def _folder_in_repository(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = [part for part in value.split("/") if part not in ("", ".")]
        if value.startswith("/") or ".." in parts or not value.isprintable() or "\\" in value:
            raise ValueError("must be a folder of the repository, with / between names and without ..")
        return "/".join(parts) or None

    @field_validator("source_git_token")
    @classmethod
    def _one_word(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _ONE_WORD.fullmatch(value.get_secret_value()):
            raise ValueError("must be one word of printable ASCII")
        return value

    @field_validator("source_ca_file")
    @classmethod
    def _readable_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr) -> SecretStr:
        address = parse_redis_address(value.get_secret_value())
        for option in TLS_FILES:
            named = (address.tls or {}).get(option)
            if named is not None and not Path(named).is_file():
                raise ValueError(f"{option}: there is no such file")
        return value

    @field_validator("content_formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        endings = tuple(f".{name.lower().removeprefix('*').removeprefix('.')}" for name in value)
        unknown = [ending for ending in endings if ending not in DOCUMENT_ENDINGS]
        if unknown:
            raise ValueError(f"{unknown[0]} is not read; the endings are {', '.join(DOCUMENT_ENDINGS)}")
        return endings

    @field_validator("allowed_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or parts.path not in ("", "/")
                or "*" in origin
            ):
                raise ValueError("each origin must be exact, scheme and host, no path and no *")
        return tuple(origin.rstrip("/") for origin in value)

    @field_validator("flower_basic_auth")
    @classmethod
    def _users_with_passwords(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            user, _, password = secret.get_secret_value().partition(":")
            # Flower compares ASCII only; anything else would be refused at each login.
            if not (user and password and secret.get_secret_value().isascii()):
                raise ValueError("must be user:password, in ASCII; several are separated by commas")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.chunk_overlap * 2 > self.chunk_size:
            raise ValueError(
                f"CHUNK_OVERLAP: {self.chunk_overlap} is more than half of CHUNK_SIZE={self.chunk_size}; set it to "
                f"{self.chunk_size // 2} at most, for example CHUNK_OVERLAP={self.chunk_size // 6}"
            )
        if self.min_chunk_size > self.chunk_size:
            raise ValueError(
                f"MIN_CHUNK_SIZE: {self.min_chunk_size} is more than CHUNK_SIZE={self.chunk_size}; set it to that at "
                "most, for example MIN_CHUNK_SIZE=50"
            )
        if (self.qdrant_write_consistency or 1) > (self.qdrant_replicas or 1):
            raise ValueError(
                "QDRANT_WRITE_CONSISTENCY: must be at most QDRANT_REPLICAS, for example QDRANT_WRITE_CONSISTENCY=2 "
                "with QDRANT_REPLICAS=3"
            )
        if self.source_git_url and self.source_sitemap_url:
            raise ValueError("SOURCE_SITEMAP_URL: there is one source; remove it, or remove SOURCE_GIT_URL")
        for variable, url in (("SOURCE_GIT_URL", self.source_git_url), ("SOURCE_SITEMAP_URL", self.source_sitemap_url)):
            if url and not self.source_allow_private and urlsplit(url).scheme != "https":
                raise ValueError(
                    f"{variable}: must be an https:// address; for a server of your own network without TLS, set "
                    "SOURCE_ALLOW_PRIVATE=true"
                )
        if self.model_provider == "openai" and not (self.openai_api_key or self.openai_base_url):
            raise ValueError(
                "OPENAI_API_KEY: is missing while MODEL_PROVIDER=openai, for example OPENAI_API_KEY=sk-..."
            )
        if self.model_provider == "gemini" and not self.gemini_api_key:
            raise ValueError(
                "GEMINI_API_KEY: is missing while MODEL_PROVIDER=gemini, for example GEMINI_API_KEY=AIza..."
            )
        if self.chat_base_url and not self.openai_chat_model:
            raise ValueError("CHAT_MODEL: is missing while CHAT_BASE_URL is set, for example CHAT_MODEL=llama3.2")
        if self.chat_api_key and not self.chat_base_url:
            raise ValueError(
                "CHAT_API_KEY: is of no use without CHAT_BASE_URL; set both, or OPENAI_API_KEY or GEMINI_API_KEY alone"
            )
        return self

    @property
    def remote_source(self) -> bool:
        """Whether the docs are fetched from elsewhere; CONTENT_ROOT is not read then."""
        return bool(self.source_git_url or self.source_sitemap_url)

    @property
    def page_endings(self) -> tuple[str, ...]:
        """What the name of a page may end in, in lower case."""
        return (*PAGE_ENDINGS, *self.content_formats)

    @property
    def redis_address(self) -> RedisAddress:
        return parse_redis_address(self.redis_url.get_secret_value())

    @property
    def placement(self) -> Placement:
        """How collections are made in a cluster. A write is done when more than half of the replicas have it: then a
        node that is cut off from the others can change nothing behind their backs."""
        majority = None if self.qdrant_replicas is None else self.qdrant_replicas // 2 + 1
        return Placement(self.qdrant_shards, self.qdrant_replicas, self.qdrant_write_consistency or majority)

    @property
    def provider(self) -> Provider:
        """Who answers and embeds: as named, else by which key is set, else the local model."""
        if self.model_provider != "auto":
            return self.model_provider
        if self.openai_api_key or self.openai_base_url:
            return "openai"
        return "gemini" if self.gemini_api_key else "local"

    @property
    def asks_apart(self) -> bool:
        """Whether answers come from a server of their own; MODEL_PROVIDER=local lets nothing out."""
        return bool(self.chat_base_url) and self.model_provider != "local"

    @property
    def chat_model(self) -> str | None:
        """The chat model's name; None means the extractive answerer."""
        if self.asks_apart:
            return self.openai_chat_model
        if self.provider == "local":
            return None
        if self.provider == "gemini":
            named = self.gemini_chat_model or ""
            retired = not named or named.startswith(RETIRED_GEMINI_MODELS)
            return DEFAULT_CHAT_MODEL["gemini"] if retired else named
        # A server of one's own has its own model names: without one, only its neighbour is asked.
        if self.openai_base_url:
            return self.openai_chat_model
        named = self.openai_chat_model or ""
        return DEFAULT_CHAT_MODEL["openai"] if not named or named in RETIRED_OPENAI_MODELS else named

    @property
    def embedding_provider(self) -> Provider:
        return "local" if self.embedding_model == LOCAL_EMBEDDING_MODEL else self.provider

    @property
    def embedding_model(self) -> str:
        if self.provider == "gemini":
            return self.gemini_embedding_model or DEFAULT_EMBEDDING_MODEL["gemini"]
        if self.provider == "openai" and self.openai_embedding_model:
            return self.openai_embedding_model
        if self.provider == "openai" and not self.openai_base_url:
            return DEFAULT_EMBEDDING_MODEL["openai"]
        return LOCAL_EMBEDDING_MODEL

    @property
    def embedding_dimensions(self) -> int | None:
        """What to ask the provider for; None leaves it to the model. The local model has one size."""
        return None if self.embedding_provider == "local" else self.configured_dimensions

    @property
    def embedding_limit(self) -> int | None:
        """Tokens of its own that the model reads of one text; None for the local model, which reads windows."""
        if self.embedding_provider == "local":
            return None
        known = "own server" if self.provider == "openai" and self.openai_base_url else self.provider
        return self.embedding_max_tokens or EMBEDDING_LIMITS[known]

    @property
    def model_base_url(self) -> str | None:
        return GEMINI_BASE_URL if self.provider == "gemini" else self.openai_base_url

    @property
    def model_api_key(self) -> SecretStr:
        """The provider's key; servers of one's own often want none, and the SDK insists on a value."""
        key = self.gemini_api_key if self.provider == "gemini" else self.openai_api_key
        return key or SecretStr("none")


#: A right value for each variable whose wrong one people meet.
EXAMPLES: Final[Mapping[str, str]] = {
    "ADMIN_API_KEY": "at least 16 characters, such as the output of: openssl rand -hex 32",
    "ALLOWED_ORIGINS": "https://docs.example.org,http://localhost:3000",
    "API_PORT": "7860",
    "CHAT_BASE_URL": "http://localhost:11434/v1",
    "CHUNK_OVERLAP": "100",
    "CHUNK_SIZE": "600",
    "CONTENT_FORMATS": "pdf,html",
    "FLOWER_BASIC_AUTH": "admin:a-long-random-password",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "MODEL_PROVIDER": "auto",
    "OPENAI_BASE_URL": "http://localhost:11434/v1",
    "QDRANT_COLLECTION_NAME": "lectern",
    "QDRANT_REPLICAS": "3",
    "QDRANT_SHARDS": "3",
    "QDRANT_URL": "http://localhost:6333",
    "QDRANT_WRITE_CONSISTENCY": "2",
    "REDIS_URL": "redis://localhost:6379/0",
    "SITE_URL": "https://example.org/base/",
    "SOURCE_CA_FILE": "/etc/ssl/certs/my-authority.pem",
    "SOURCE_GIT_FOLDER": "website/docs",
    "SOURCE_GIT_REF": "main",
    "SOURCE_GIT_TOKEN": "github_pat_11AB",
    "SOURCE_GIT_URL": "https://github.com/example/docs.git",
    "SOURCE_POLL_MINUTES": "60",
    "SOURCE_SITEMAP_URL": "https://docs.example.org/sitemap.xml",
    "TRUSTED_PROXIES": "10.0.0.0/8,127.0.0.1/32",
    "WEBHOOK_SECRET": "at least 16 characters, such as the output of: openssl rand -hex 32",
}


def load_settings(env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Read the environment. Raises ConfigurationError with one line for each wrong variable; values are not echoed."""
    try:
        return Settings(**{"_env_file": env_file, "_secrets_dir": _secrets_dir(), **overrides})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_line(item) for item in error.errors(include_input=False))) from None
    except SettingsError as error:
        raise ConfigurationError(f"{error}; check the spelling of the variable in the environment or .env") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file} is not UTF-8; save it with the encoding UTF-8") from None
    except OSError as error:
        unread = error.filename or env_file
        raise ConfigurationError(f"{unread} cannot be read ({error.strerror}); check its permissions") from None


def _secrets_dir() -> Path | None:
    """The folder that SECRETS_DIR names: files that are named like variables, as containers mount them."""
    named = os.environ.get("SECRETS_DIR")
    if not named:
        return None
    if not Path(named).is_dir():
        raise ConfigurationError(f"SECRETS_DIR: {named} is not a folder; name the one with the secrets' files, or none")
    return Path(named)


def _line(item: Mapping[str, Any]) -> str:
    """`CHUNK_SIZE: should be greater than or equal to 100, for example CHUNK_SIZE=600`"""
    fault = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not item["loc"]:
        return str(fault)
    named = str(item["loc"][0])
    for name, field in Settings.model_fields.items():
        variables = variables_of(name)
        if named in (name, *variables):
            variable = named if named in variables else variables[0]
            example = EXAMPLES.get(variables[0]) or field.default
            return f"{variable}: {fault}" + ("" if example is None else f", for example {variable}={example}")
    return f"{named}: {fault}"


def variables_of(name: str) -> tuple[str, ...]:
    """The environment variables that a field of Settings is read from, the preferred one first."""
    alias = Settings.model_fields[name].validation_alias
    return tuple(str(c) for c in alias.choices) if isinstance(alias, AliasChoices) else (str(alias),)


def child_environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `overrides`: what a supervised process starts with."""
    return {**os.environ, **overrides}
