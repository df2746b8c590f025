"""When a provider may be asked again: what all processes know of it, and what follows. Pure; `shared.pacing` shares it.

Three things hold requests back. The owner's limits (requests, tokens and items a minute) space them evenly. A provider
that limits the rate is left alone for as long as it says, and asked at a wider distance afterwards: the gap between
requests doubles with each such reply and shrinks by a tenth with each good one. And whether key, model and address are
right is found out by one request while all others wait, as it is whether a provider that was down is back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MINUTE: Final = 60.0
#: The first gap after a rate limit, in seconds, and the widest.
FIRST_GAP: Final = 0.25
WIDEST_GAP: Final = 60.0
#: What one good reply leaves of the gap; below the least it is gone.
GAP_KEPT: Final = 0.9
LEAST_GAP: Final = 0.05
#: Rest after the tries of a request have all failed, in seconds; doubled each time it has not helped.
FIRST_REST: Final = 5.0
LONGEST_REST: Final = 30.0
#: The longest that a provider is left alone at its word, in seconds: limits begin anew each day at the latest.
LONGEST_QUIET: Final = 24 * 3600.0
#: A reply is taken as proof that key, model and address are right for this long.
TRUSTED: Final = 600.0
#: The one request that finds out holds the others back for this long: its process may have died meanwhile.
PROBE: Final = 15.0
#: How often the others look whether it has come back.
LOOK_AGAIN: Final = 0.1


@dataclass(frozen=True, slots=True)
class PaceLimits:
    """What the owner allows a minute; None: as much as the provider takes."""

    requests: int | None = None
    tokens: int | None = None
    items: int | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """What one request takes of the limits."""

    tokens: int
    items: int


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of a provider. Times are seconds since the epoch; 0: never."""

    #: From then on the owner's limits allow another request.
    requests_from: float = 0.0
    tokens_from: float = 0.0
    items_from: float = 0.0
    #: Until then the provider is left alone, because of `reason`.
    quiet_until: float = 0.0
    reason: str = ""
    #: Seconds between two requests, since when it is so wide, and from when on the next one keeps it.
    gap: float = 0.0
    gap_widened_at: float = 0.0
    gap_from: float = 0.0
    #: Until then a good reply is fresh enough.
    trusted_until: float = 0.0
    #: Who finds out for all, and until when the others wait for it.
    prober: str = ""
    probing_until: float = 0.0
    #: When the first request failed of those that have failed since the last good one.
    failing_since: float = 0.0
    #: Seconds of the last rest; 0 if none was needed since the last good reply.
    rest: float = 0.0
    #: Why asking is of no use until the owner has done something; "" if it is.
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """To whoever wants to send a request."""

    #: Seconds to wait before asking again; 0: go.
    wait: float
    #: Whether the wait is for the one request that finds out.
    for_probe: bool = False


GO: Final = Answer(0.0)


def ask(pace: Pace, now: float, asker: str, size: Size, limits: PaceLimits) -> tuple[Pace, Answer]:
    """May `asker` send a request of this size now? If so, the pace that follows. Whether it was refused for good is
    for the caller to look at."""
    if pace.refused:
        return pace, GO
    wait = max(_limited_until(pace), pace.quiet_until, pace.gap_from) - now
    if wait > 0:
        return pace, Answer(wait)
    trusted = pace.trusted_until > now
    if not trusted:
        if pace.probing_until > now and pace.prober != asker:
            return pace, Answer(LOOK_AGAIN, for_probe=True)
        pace = replace(pace, prober=asker, probing_until=now + PROBE)
    return count(pace, now, size, limits), GO


def count(pace: Pace, now: float, size: Size, limits: PaceLimits) -> Pace:
    """The pace after a request that is sent now, whether it was asked for or not."""
    if pace.gap:
        pace = replace(pace, gap_from=now + pace.gap)
    if limits.requests:
        pace = replace(pace, requests_from=max(now, pace.requests_from) + MINUTE / limits.requests)
    if limits.tokens:
        pace = replace(pace, tokens_from=max(now, pace.tokens_from) + MINUTE * size.tokens / limits.tokens)
    if limits.items:
        pace = replace(pace, items_from=max(now, pace.items_from) + MINUTE * size.items / limits.items)
    return pace


def answered(pace: Pace, now: float) -> Pace:
    """The provider has answered as it should."""
    gap = pace.gap * GAP_KEPT
    calm = Pace(
        pace.requests_from, pace.tokens_from, pace.items_from, pace.quiet_until, pace.reason,
        gap=gap if gap >= LEAST_GAP else 0.0, gap_widened_at=pace.gap_widened_at, gap_from=pace.gap_from,
        trusted_until=pace.trusted_until,
    )  # fmt: skip
    # Not each time: most replies then change nothing that would have to be shared.
    return replace(calm, trusted_until=now + TRUSTED) if pace.trusted_until < now + TRUSTED / 2 else calm


def limited(pace: Pace, now: float, sent_at: float, seconds: float | None, reason: str) -> Pace:
    """The provider limits the rate, and asks to be left alone for `seconds` where it says so."""
    # Several requests are on their way when a limit strikes; it is one limit all the same.
    if sent_at >= pace.gap_widened_at:
        gap = min(max(2 * pace.gap, FIRST_GAP), WIDEST_GAP)
        pace = replace(pace, gap=gap, gap_widened_at=now, gap_from=now + gap)
    quiet = now + (pace.gap if seconds is None else min(seconds, LONGEST_QUIET))
    return _failing(replace(pace, quiet_until=max(pace.quiet_until, quiet), reason=reason), now)


def down(pace: Pace, now: float, reason: str) -> Pace:
    """The tries of a request have all failed: rest, then let one find out whether it is over."""
    # Several requests fail at one time; the first of them has said so.
    rest = pace.rest if pace.quiet_until > now and pace.rest else min(max(2 * pace.rest, FIRST_REST), LONGEST_REST)
    quiet = max(pace.quiet_until, now + rest)
    return _failing(replace(pace, rest=rest, quiet_until=quiet, reason=reason, trusted_until=0.0), now)


def refused(pace: Pace, reason: str) -> Pace:
    """The provider refuses for good."""
    return replace(pace, refused=reason, trusted_until=0.0, prober="", probing_until=0.0)


def afresh(pace: Pace) -> Pace:
    """For a new job: what was refused may have been mended. What the provider asked for still holds."""
    return replace(pace, refused="", trusted_until=0.0, prober="", probing_until=0.0, failing_since=0.0, rest=0.0)


def held_until(pace: Pace) -> float:
    """From when on a request may be sent, as far as is known; in the past if one may be sent now."""
    return max(_limited_until(pace), pace.quiet_until)


def _limited_until(pace: Pace) -> float:
    return max(pace.requests_from, pace.tokens_from, pace.items_from)


def _failing(pace: Pace, now: float) -> Pace:
    return replace(pace, prober="", probing_until=0.0, failing_since=pace.failing_since or now)
