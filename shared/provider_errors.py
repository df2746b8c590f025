"""What a model provider's refusal means, and what its owner can do about it. Pure: knows status, body and headers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from shared.errors import ProviderError, ProviderLimited, ProviderUnavailable

#: Of the provider's own words, how much is passed on.
DETAIL_LENGTH: Final = 200
#: Statuses that pass by themselves: a time-out, a lock, anything of the server's own making.
PASSING: Final = frozenset({408, 409})
#: Statuses that blame what was sent; 413 and 422 are how some servers say that there is too much of it.
REJECTING: Final = frozenset({400, 413, 422})
#: Statuses that would meet any other model of the same account as well: the key, the bill, the quota.
ACCOUNT: Final = frozenset({401, 402, 429})
#: `code` or `type` of a 429 that waiting does not help.
USED_UP: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

#: What a lasting refusal means, and what its owner can look at.
ADVICE: Final = {
    401: ("does not accept the key", "; check {provider.key_variable}"),
    402: ("wants to be paid", "; top the account up, or set {provider.key_variable} to another key"),
    403: (
        "does not let this key use the model {provider.model}",
        "; check {provider.key_variable} and {provider.model_variable}",
    ),
    404: (
        "does not know the model {provider.model}",
        "; check {provider.model_variable} and {provider.url_variable}",
    ),
    429: (
        "says that the account's quota is used up",
        "; top the account up, or set {provider.key_variable} to another key",
    ),
}
REJECTED: Final = ("does not accept what was sent", "")
REDIRECTED: Final = ("sends requests on to another address", "; check {provider.url_variable}")
OTHER_ADVICE: Final = ("refuses the request", "")

#: A 429 for one request that is over a limit of tokens a minute by itself: no wait makes it smaller.
_TOO_LARGE: Final = re.compile(r"request(ed)? (is )?too large", re.IGNORECASE)
#: `x-ratelimit-reset-tokens: 1m2.5s`
_RESET: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m(?!s))?(?:(\d{1,6}(?:\.\d+)?)s)?(?:(\d{1,7})ms)?")
_KEY: Final = re.compile(r"\b(?:sk-|AIza|gsk_|xai-|hf_|Bearer\s+)[\w*.\-]{4,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is asked, under which settings; for messages that name the variable to look at."""

    base_url: str
    model: str
    key: str = field(repr=False)
    key_variable: str = "OPENAI_API_KEY"
    model_variable: str = "EMBEDDING_MODEL"
    url_variable: str = "OPENAI_BASE_URL"

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Detail:
    """The provider's own account of a fault, without keys."""

    message: str
    codes: frozenset[str]
    #: Seconds to wait that the body asks for, as Gemini's does.
    retry_after: float | None


def refusal(status: int, body: object, headers: Mapping[str, str], provider: Provider) -> ProviderError:
    """The exception for an answer that is not 2xx. `body` is decoded JSON or text, as the SDK leaves it."""
    detail = describe(body, provider.key)
    used_up = status == 429 and not detail.codes.isdisjoint(USED_UP)
    blames: Literal["request", "model", "account"] = "account" if status in ACCOUNT or status < 400 else "model"
    if rejects(status, detail):
        fault, advice = REJECTED
        blames = "request"
    elif not used_up and (status == 429 or status in PASSING or status >= 500):
        return _passing(status, detail, headers, provider)
    elif 300 <= status < 400:
        fault, advice = REDIRECTED
    else:
        fault, advice = ADVICE.get(status, OTHER_ADVICE)
    error = ProviderError(_sentence(fault, status, detail, provider) + advice.format(provider=provider))
    error.blames = blames
    return error


def rejects(status: int, detail: Detail) -> bool:
    """Whether the answer blames what was sent, so that something else, or less of it, may be accepted."""
    return status in REJECTING or (status == 429 and _TOO_LARGE.search(detail.message) is not None)


def _passing(status: int, detail: Detail, headers: Mapping[str, str], provider: Provider) -> ProviderUnavailable:
    wait = retry_after(headers)
    if wait is None:
        wait = detail.retry_after
    if status == 429:
        words = _sentence("limits the rate of requests", status, detail, provider)
        return ProviderLimited(words, retry_after=_reset_after(headers) if wait is None else wait)
    return ProviderUnavailable(_sentence("has a fault", status, detail, provider), retry_after=wait)


def _sentence(fault: str, status: int, detail: Detail, provider: Provider) -> str:
    words = f": {detail.message}" if detail.message else ""
    return f"the model provider at {provider.host} {fault.format(provider=provider)} ({status}{words})"


def describe(body: object, key: str) -> Detail:
    """Read an error body: an object with `error`, the inside of one, Gemini's list of one, or text."""
    if isinstance(body, str):
        body = _decoded(body)
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    if not isinstance(body, Mapping):
        # A page of HTML says less than the status does.
        text = body if isinstance(body, str) and "<" not in body else ""
        return Detail(redact(text, key)[:DETAIL_LENGTH], frozenset(), None)
    codes = frozenset(value for name in ("code", "type", "status") if isinstance(value := body.get(name), str))
    message = body.get("message")
    return Detail(redact(message, key)[:DETAIL_LENGTH] if isinstance(message, str) else "", codes, _retry_delay(body))


def redact(text: str, key: str) -> str:
    """`text` without the key, and without anything that looks like one: providers echo keys, in part or whole."""
    if len(key) >= 8:
        text = text.replace(key, "[key]")
    return _KEY.sub("[key]", " ".join(text.split()))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or a date); None if there is none that makes sense."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        when = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _reset_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limits on requests and tokens are whole again, as OpenAI and those like it say it."""
    given = (headers.get(f"x-ratelimit-reset-{name}", "").strip() for name in ("requests", "tokens"))
    found = [match for text in given if text and (match := _RESET.fullmatch(text))]
    return max((_seconds(*(float(part or 0) for part in match.groups())) for match in found), default=None)


def _seconds(hours: float, minutes: float, seconds: float, milliseconds: float) -> float:
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()) else None


def _retry_delay(error: Mapping[str, Any]) -> float | None:
    """`{"details": [{"@type": ".../google.rpc.RetryInfo", "retryDelay": "34s"}]}`"""
    details = error.get("details")
    for item in details if isinstance(details, list) else []:
        delay = item.get("retryDelay") if isinstance(item, Mapping) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay[:-1])
    return None


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
