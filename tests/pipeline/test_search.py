"""Claims about pipeline.search: the largest number that works, without waste."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.search import find_largest


@given(st.integers(0, 300), st.integers(1, 256))
def test_the_largest_number_that_works_is_found(largest: int, limit: int) -> None:
    """Whatever it is, up to the limit; 0 where none does."""
    assert find_largest(lambda number: number <= largest, limit) == min(largest, limit)


@given(st.integers(0, 300), st.integers(1, 256))
def test_no_try_is_wasted(largest: int, limit: int) -> None:
    """Every number once at most, within the limit, none above one that failed; few of them."""
    tried: list[int] = []

    def works(number: int) -> bool:
        failed = [n for n in tried if n > largest]
        assert 1 <= number <= limit
        assert number < min(failed, default=limit + 1)
        tried.append(number)
        return number <= largest

    find_largest(works, limit)
    assert len(tried) == len(set(tried))
    assert len(tried) <= 2 * limit.bit_length() + 1


def test_it_doubles_first_and_then_halves_the_rest() -> None:
    """The order of the tries for a machine that serves five."""
    tried: list[int] = []
    assert find_largest(lambda number: tried.append(number) or number <= 5, 64) == 5
    assert tried == [1, 2, 4, 8, 6, 5]
