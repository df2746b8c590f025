"""What `lectern ingest --plan` prints: the estimate of a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.output import amount, duration, say
from cli.releases import KINDS, show_pages


def show_estimate(estimate: Mapping[str, Any]) -> None:
    """Pages by what would become of them, then what it would take."""
    pages, passages = estimate["pages"], estimate["passages"]
    say(f"{amount(pages['found'], 'page')} found, {pages['unchanged']:,} unchanged")
    for kind in KINDS:
        show_pages(kind, estimate[kind], pages[kind])
    if pages["hidden"]:
        say(f"  {amount(pages['hidden'], 'page')} hidden or empty")
    say(
        f"{amount(passages['to_embed'], 'passage')} to embed, {passages['to_reuse']:,} to reuse: "
        f"{amount(estimate['tokens'], 'token')}, {cost_in_words(estimate['price'])}"
    )
    say(f"about {duration(estimate['seconds'])}, by {estimate['seconds_by']}")
    say("nothing was written")


def cost_in_words(price: Mapping[str, Any]) -> str:
    """`about $0.0024 with text-embedding-3-small`"""
    if price["dollars_per_million_tokens"] is None:
        return f"price unknown: set EMBEDDING_PRICE to what a million tokens of {price['model']} cost in dollars"
    if not price["dollars_per_million_tokens"]:
        return f"at no cost with {price['model']}"
    return f"about ${price['dollars']:,.4f} with {price['model']}"
