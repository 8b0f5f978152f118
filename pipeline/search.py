"""The largest number that still works, in few tries; each try takes minutes.

In: a question that is answered yes up to some number and no from there on. Out: that number.
Invariant: no number is tried twice, and none above a number that failed.
"""

from __future__ import annotations

from collections.abc import Callable


def find_largest(works: Callable[[int], bool], limit: int) -> int:
    """Find the largest number that works: doubling, then bisection.

    Args:
        works: tries a number.
        limit: largest number that is tried, at least 1.

    Returns:
        the largest that worked; 0 where not even 1 does.
    """
    good, bad = 0, limit + 1
    number = 1
    while number < bad:
        if works(number):
            good = number
        else:
            bad = number
        is_doubling = bad > limit
        number = min(2 * good, limit) if is_doubling else (good + bad) // 2
        if number <= good:
            break
    return good
