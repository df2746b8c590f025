"""What embedding costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.settings import Settings

#: US dollars a million tokens, as the providers' price lists had it in 2026 for requests that are answered at once.
PRICES: Final[Mapping[str, float]] = {
    "text-embedding-3-small": 0.02,
    "text-embedding-3-large": 0.13,
    "text-embedding-ada-002": 0.10,
    "gemini-embedding-001": 0.15,
}


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost; `per_million` is None where nobody has said."""

    model: str
    per_million: float | None

    def of(self, tokens: int) -> float | None:
        """US dollars."""
        return None if self.per_million is None else tokens * self.per_million / 1_000_000


def price_of(settings: Settings) -> Price:
    """The price of the configured embedding model: as set, else as known. The local model costs nothing."""
    model = settings.embedding_model
    if settings.embedding_price is not None:
        return Price(model, settings.embedding_price)
    if settings.embedding_provider == "local":
        return Price(model, 0.0)
    # A server of one's own may call its model by any name.
    return Price(model, PRICES.get(model) if settings.openai_base_url is None else None)
