"""Questions that no documentation is about: what cosines they reach in a release shows what a cosine is worth there.

Everyday matters of many kinds, so that half of them are off the subject of any site.
"""

from __future__ import annotations

from typing import Final

UNRELATED: Final = (
    "What is the best recipe for chocolate chip cookies?",
    "How do I remove a red wine stain from a carpet?",
    "Who won the football world cup in 1990?",
    "What is the capital of Mongolia?",
    "How tall is Mount Everest?",
    "Which dog breed is best for a small apartment?",
    "What is the weather like in Lisbon in October?",
    "How do I tie a bow tie?",
    "Who painted the ceiling of the Sistine Chapel?",
    "What time does the supermarket close on Sundays?",
    "How long should I boil an egg?",
    "Which films has that actress been in?",
    "How do I get rid of ants in the kitchen?",
    "What is a good birthday present for my grandmother?",
    "How often should I water a cactus?",
    "Who wrote the novel Moby Dick?",
    "Can you write a poem about autumn leaves?",
    "What are the rules of badminton?",
    "How many calories are in a banana?",
    "Where can I buy cheap flights to Buenos Aires?",
    "What causes a sore throat?",
    "How do I change a flat tyre on my bicycle?",
    "When did the Titanic sink?",
    "Which planet has the most moons?",
    "What should I wear to a wedding in summer?",
    "How do I train my cat to use a scratching post?",
    "Who is the lead singer of that rock band?",
    "How do I jump start a car with a dead battery?",
    "What is the meaning of my dream about falling teeth?",
    "Which guitar strings are best for beginners?",
)
