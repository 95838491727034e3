"""The one backoff of every loop that tries again."""

import pytest

from mesh.backoff import Backoff


def test_pauses_double_up_to_the_bound() -> None:
    """Each pause is twice the one before, and none is longer than the bound."""
    backoff = Backoff(0.1, 0.5)
    assert [backoff.next_s() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_success_begins_anew() -> None:
    """After a reset the first pause comes again."""
    backoff = Backoff(0.1, 2)
    backoff.next_s()
    backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 0.1


@pytest.mark.parametrize(("first_s", "max_s"), [(0, 1), (-1, 1), (2, 1)])
def test_a_backoff_that_would_spin_or_shrink_is_refused(first_s: float, max_s: float) -> None:
    """A pause of 0 would be a busy loop; a first pause above the bound is a mistake."""
    with pytest.raises(ValueError, match="first_s"):
        Backoff(first_s, max_s)
