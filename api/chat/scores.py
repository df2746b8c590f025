"""How likely it is that passages answer a question: two logistic mixes of `api.chat.features`.

The first tells whether the docs speak of the question's subject at all, the second whether they say the very thing that
is asked. Weights were fitted on halves of three sets of questions (an encyclopedia, a product's docs, conversations
over government pages) and held on the other halves: docs/answers.md has what came out.
"""

from __future__ import annotations

import math
from typing import Final

from api.chat.features import Features

#: The subject score from which a question is answered, in a release that nothing more is known of. 98% of the sets' own
#: questions reach it, 3 to 8% of questions about other things.
LEAST_SUBJECT: Final = 0.0


def subject_score(features: Features) -> float:
    """Log-odds that the docs speak of what is asked, where as many questions are about other things."""
    return (
        -2.2
        + 8.1 * features.meaning
        + 7.1 * features.ordered
        - 2.9 * features.missing
        - 1.0 * features.unnamed
    )  # fmt: skip


def detail_score(features: Features) -> float:
    """Log-odds that the docs say what is asked, where they speak of its subject."""
    return (
        DETAIL_PRIOR
        + 2.0 * features.meaning
        + 0.75 * features.together
        + 1.0 * features.ordered
        - 2.5 * features.negated
        - 1.8 * features.other_number
        - 0.5 * features.other_name
        - 0.7 * features.contrary
    )  # fmt: skip


#: Fitted with as many answerable questions as others; visitors ask more that can be answered, about three in four.
DETAIL_PRIOR: Final = -2.2 + math.log(3)
#: What the subject score is worth beyond `least` before it stops to tell: it decides on refusing, details on the rest.
SETTLED: Final = 1.0


def confidence_of(features: Features, least: float) -> float:
    """How likely it is that the passages answer the question, 0..1. `least`: the release's lowest subject score."""
    return _probability(subject_score(features) - least + SETTLED) * _probability(detail_score(features))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(min(log_odds, 30.0), -30.0)))
