"""What a provider's refusal means: which one passes, which one lasts, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.errors import ProviderLimited, ProviderUnavailable
from shared.provider_errors import Provider, describe, refusal, rejects, retry_after

PROVIDER = Provider("https://api.example.org/v1", "m", "sk-0123456789abcdef")
LIMITED = {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-reset-requests": "1s"}, 360),
        ({"x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"retry-after": "7", "x-ratelimit-reset-tokens": "6m0s"}, 7),
        ({"x-ratelimit-reset-tokens": "soon", "retry-after": "never"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_wherever_it_stands(headers: dict[str, str], seconds: float | None) -> None:
    error = refusal(429, LIMITED, headers, PROVIDER)
    assert isinstance(error, ProviderLimited)
    assert error.retry_after == seconds


def test_a_date_to_wait_for_is_read() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (retry_after({"retry-after": later}) or 0) <= 60


def test_an_overload_is_no_rate_limit_but_may_say_how_long_to_wait() -> None:
    error = refusal(503, {"error": {"message": "overloaded"}}, {"retry-after": "3"}, PROVIDER)
    assert type(error) is ProviderUnavailable
    assert error.retry_after == 3


def test_a_request_that_is_over_the_limit_a_minute_by_itself_blames_what_was_sent() -> None:
    words = "Request too large for m on tokens per min (TPM): Limit 40000, Requested 260000."
    body = {"error": {"message": words, "type": "tokens", "code": "rate_limit_exceeded"}}
    assert rejects(429, describe(body, PROVIDER.key))
    assert not isinstance(refusal(429, body, {}, PROVIDER), ProviderUnavailable)
    assert not rejects(429, describe(LIMITED, PROVIDER.key))
