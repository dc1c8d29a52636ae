"""Sums that no order of their numbers can change: exact until they are rounded, once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Self


class ExactSum:
    """
    A sum of integers and floats on its way.

    Each float is an integer over a power of two, so a sum is one integer for each such denominator. Floats that
    are not finite are added by themselves: what they give is the same in any order.
    """

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self.count = 0
        self._numerators: dict[int, int] = {}
        self._infinite = 0.0
        self._floats = False
        for number in numbers:
            self.add(number)

    def add(self, number: float) -> None:
        """Take one number."""
        self.count += 1
        if type(number) is float:
            self._floats = True
            if not math.isfinite(number):
                self._infinite += number
                return
        numerator, denominator = number.as_integer_ratio()
        self._numerators[denominator] = self._numerators.get(denominator, 0) + numerator

    def merge(self, other: Self) -> None:
        """Take the numbers of another sum."""
        self.count += other.count
        self._infinite += other._infinite
        self._floats |= other._floats
        for denominator, numerator in other._numerators.items():
            self._numerators[denominator] = self._numerators.get(denominator, 0) + numerator

    def sum(self) -> float:
        """
        Return the sum: an integer of integers, else a float.

        Raises:
            OverflowError: no float is as large.
        """
        if not self._floats:
            return self._numerators.get(1, 0)
        return self._infinite or float(self._exact())

    def mean(self) -> float | None:
        """
        Return the mean as a float; None if there are no numbers.

        Raises:
            OverflowError: no float is as large.
        """
        if not self.count:
            return None
        return self._infinite or float(self._exact() / self.count)

    def _exact(self) -> Fraction:
        return Fraction(sum(Fraction(n, d) for d, n in self._numerators.items()))
