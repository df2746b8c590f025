"""The question as a client sends it: one request in the spellings of all front ends, made into one `Question`.

Strict: a wrong type or an unknown field is refused by name, before anything is done.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from api.chat.events import NO_FILTERS, Filters, Question, Turn
from shared.settings import Settings

QUESTION_CHARACTERS: Final = 10_000
SELECTION_CHARACTERS: Final = 20_000
#: An assistant's answer can be as long as a selection.
MESSAGE_CHARACTERS: Final = 20_000
SESSION_ID_CHARACTERS: Final = 128
#: Of a page's path or address.
ADDRESS_CHARACTERS: Final = 2000
#: Messages of a history that are looked at; a client that sends a longer one keeps what it should not have to send.
HISTORY_MESSAGES: Final = 200
VISITORS: Final = frozenset({"user", "you"})

#: Control characters except tab and line feed.
_CONTROL: Final = {code: None for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def clean_text(text: str) -> str:
    """Text as it is searched for: composed, with \\n line ends, trimmed, control characters dropped.

    "" if nothing of it is visible: blanks, zero-width characters and marks of direction alone are no question.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL)).strip()
    return text if any(unicodedata.category(character)[0] not in "CZ" for character in text) else ""


def _question(text: str) -> str:
    cleaned = clean_text(text)
    if not cleaned:
        raise ValueError("must not be empty")
    return _at_most(QUESTION_CHARACTERS, cleaned)


def _selection(text: str) -> str:
    return _at_most(SELECTION_CHARACTERS, clean_text(text))


def _message(text: str) -> str:
    return _at_most(MESSAGE_CHARACTERS, clean_text(text))


def _filter(text: str) -> str:
    cleaned = clean_text(text)
    if not cleaned:
        raise ValueError("must not be empty; leave it out to let all pages through")
    return _at_most(ADDRESS_CHARACTERS, cleaned)


def _at_most(most: int, text: str) -> str:
    if len(text) > most:
        raise ValueError(f"must be at most {most:,} characters; it has {len(text):,}")
    return text


def _selected_text(value: Any) -> Any:
    """The text of `{selectedText, source}`."""
    if not isinstance(value, dict):
        return value
    selected = value.get("selectedText")
    if selected is not None and not isinstance(selected, str):
        raise ValueError("selectedText should be a valid string")
    return selected


class SelectedText(BaseModel):
    """A selection as one of the front ends sends it, and the page that it was made on."""

    selectedText: str | None = None
    source: Any = None


class FiltersIn(BaseModel):
    """Which pages an answer may be made from. A field that is left out lets all through."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: FilterText | None = Field(default=None, description="of the docs, as the site names it")
    locale: FilterText | None = Field(default=None, description="the language, as the site names it")
    path: FilterText | None = Field(default=None, description="what the pages' paths begin with: guide/")
    page: FilterText | None = Field(default=None, description="one page, by its path or address")


FilterText = Annotated[str, AfterValidator(_filter)]
QuestionText = Annotated[str, AfterValidator(_question)]
SelectionText = Annotated[str, AfterValidator(_selection)]
ContextText = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else _selection(text)),
    BeforeValidator(_selected_text, json_schema_input_type=str | SelectedText | None),
]
MessageText = Annotated[str, AfterValidator(_message)]
SessionId = Annotated[str, Field(max_length=SESSION_ID_CHARACTERS)]


class Message(BaseModel):
    """One message of a history, in either spelling: {role, content} or {sender, text}."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: str | None = None
    content: MessageText | None = None
    sender: str | None = None
    text: MessageText | None = None

    @property
    def is_visitors(self) -> bool:
        return (self.role or self.sender or "").strip().lower() in VISITORS

    @property
    def is_instruction(self) -> bool:
        """Whether somebody tries to speak as the system."""
        return (self.role or "").strip().lower() in ("system", "developer", "tool")

    @property
    def words(self) -> str:
        return self.content or self.text or ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.role or self.sender):
            raise ValueError("needs role or sender")
        if self.content is None and self.text is None:
            raise ValueError("needs content or text")
        return self


class ChatRequest(BaseModel):
    """A question. Send it as `question`; `query` and `message` are what other front ends call it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"question": "How do I install it?"}]}
    )

    question: QuestionText | None = None
    query: QuestionText | None = None
    message: QuestionText | None = None
    selection: SelectionText | None = None
    context: ContextText = None
    quoted_text: SelectionText | None = None
    history: list[Message] | None = Field(default=None, max_length=HISTORY_MESSAGES)
    session_id: SessionId | None = None
    k: int = Field(default=5, ge=1, le=20)
    context_window: int | None = Field(default=None, ge=500, le=32_000, description="tokens")
    stream: bool | None = None
    filters: FiltersIn | None = None
    page: str | None = Field(
        default=None, max_length=ADDRESS_CHARACTERS, description="the page the visitor is on, by its path or address"
    )
    api_key: SecretStr | None = Field(default=None, description="accepted and not used; send X-API-Key")

    @property
    def text(self) -> str:
        """The question, however it was called."""
        return self.question or self.query or self.message or ""

    @property
    def selected(self) -> str | None:
        """The words that were marked on the page, however they were called."""
        return self.selection or self.context or self.quoted_text or None

    @property
    def speaks_query(self) -> bool:
        """Whether the client is one of those that send `query` and read {response} or NDJSON."""
        return self.query is not None and self.question is None and self.stream is None

    @model_validator(mode="before")
    @classmethod
    def _page_of_selection(cls, body: Any) -> Any:
        """`context: {selectedText, source}` says where the visitor is as well."""
        if not isinstance(body, dict) or body.get("page") is not None or not isinstance(body.get("context"), dict):
            return body
        source = body["context"].get("source")
        source = source.get("url") if isinstance(source, dict) else source
        return {**body, "page": source[:ADDRESS_CHARACTERS]} if isinstance(source, str) else body

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if len({text for text in (self.question, self.query, self.message) if text}) != 1:
            raise ValueError("question: send exactly one, as question, query or message")
        return self


def turns_of(messages: Sequence[Message], question: str) -> tuple[Turn, ...]:
    """A client's history as exchanges, oldest first. Some clients send the new question along; it is left out."""
    turns: list[Turn] = []
    asked: str | None = None
    for message in messages:
        if message.is_instruction or not message.words:
            continue
        if message.is_visitors:
            if asked is not None:
                turns.append(Turn(asked, ""))
            asked = message.words
        elif asked is not None:
            turns.append(Turn(asked, message.words))
            asked = None
    if asked is not None and asked != question:
        turns.append(Turn(asked, ""))
    return tuple(turns)


def question_of(request: ChatRequest, remembered: Sequence[Turn], settings: Settings) -> Question:
    """What is asked. A history that the client sends stands in place of what the server remembers."""
    turns = remembered if request.history is None else turns_of(request.history, request.text)
    return Question(
        text=request.text,
        selection=request.selected,
        history=tuple(turns[-settings.max_context_messages :]) if settings.max_context_messages else (),
        k=request.k,
        context_window=request.context_window or settings.context_window,
        filters=Filters(**request.filters.model_dump()) if request.filters else NO_FILTERS,
        page=clean_text(request.page or ""),
    )
