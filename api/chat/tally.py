"""Counts for many sentences at once how many of a claim's words each of them holds.

A word's sentences are the bits of a number. Adding such numbers column by column, in binary with one number for each
digit, costs a few operations a word, however many sentences there are.
"""

from __future__ import annotations

from collections.abc import Iterable


class Tally:
    """How often each bit is set in a number of masks."""

    def __init__(self, masks: Iterable[int]) -> None:
        #: The digits of all counts, the lowest first.
        self._digits: list[int] = []
        digits = self._digits
        for mask in masks:
            carry = mask
            for place, digit in enumerate(digits):
                digits[place] = digit ^ carry
                carry &= digit
                if not carry:
                    break
            if carry:
                digits.append(carry)

    def most(self, among: int) -> int:
        """Those of these bits that are set most often."""
        for digit in reversed(self._digits):
            among = (among & digit) or among
        return among

    def at_least_two(self) -> int:
        """The bits that are set twice or more."""
        found = 0
        for digit in self._digits[1:]:
            found |= digit
        return found

    def count(self, bit: int) -> int:
        """How often a bit, given as a mask of one, is set."""
        return sum([1 << place for place, digit in enumerate(self._digits) if digit & bit])


def lowest(mask: int) -> int:
    """The number of the lowest bit that is set, from 0."""
    return (mask & -mask).bit_length() - 1


def bits_of(mask: int) -> list[int]:
    """The numbers of the bits that are set, the lowest first."""
    found = []
    while mask:
        found.append(lowest(mask))
        mask &= mask - 1
    return found
