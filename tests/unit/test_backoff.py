"""The one backoff of every loop that tries again."""

import re
from pathlib import Path

import pytest

from mesh.backoff import Backoff

_ROOT = Path(__file__).parents[2]


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


def test_no_loop_has_pauses_of_its_own_that_double() -> None:
    """Whoever tries again uses the one backoff, which is bounded."""
    packages = ("gateway", "processor", "monitor", "mesh", "registry", "broker", "stack", "contracts", "cli")
    paths = [path for package in packages for path in (_ROOT / package).rglob("*.py")]
    doubled = re.compile(r"(\w+) = min\((?:2 \* \1|\1 \* 2),|\w*(?:pause|delay|backoff)\w* \*= 2|\*\* ?attempt")
    assert [path for path in paths if doubled.search(path.read_text(encoding="utf-8"))] == []
    assert doubled.search("pause_s = min(2 * pause_s, _MAX_S)")
    assert doubled.search("delay_s *= 2")
