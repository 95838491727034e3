"""Tests that share what is expensive stay on one worker."""

import pytest

from tests.support.engine_sets import chosen_set
from tests.support.sharing import group_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tests/acceptance/test_a.py::test[native]", "tests/acceptance/test_b.py::test[native-/v1/users]"),
        ("tests/acceptance/test_a.py::test[embedded-1]", "tests/acceptance/test_b.py::test[embedded]"),
        ("tests/acceptance/test_a.py::test[native-1]", "tests/acceptance/test_b.py::test[1-kafka-native]"),
        ("tests/ui/test_a.py::test", "tests/ui/test_b.py::test[x]"),
        ("tests/ui/test_a.py::test", "tests/sdk/test_b.py::test"),
        ("tests/ui/test_a.py::test", f"tests/acceptance/test_a.py::test[{chosen_set()}]"),
        ("tests/integration/test_operations.py::test", "tests/integration/test_gateway_commands_faults.py::test"),
        ("tests/integration/test_operations.py::test", "tests/conformance/test_registry.py::test"),
        ("tests/integration/test_jaeger.py::test", "tests/conformance/test_event_store.py::test[local]"),
        ("tests/conformance/test_registry.py::test[pocket]", "tests/conformance/test_registry_client.py::test"),
        ("tests/docs/test_a.py::test[docs/a.md]", "tests/docs/test_a.py::test[sdk/README.md: ]"),
    ],
)
def test_those_of_one_platform_or_file_stay_together(one: str, other: str) -> None:
    """One group, whatever the names of their parameters."""
    assert group_of(one) == group_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tests/acceptance/test_a.py::test[native]", "tests/acceptance/test_a.py::test[embedded]"),
        ("tests/acceptance/test_a.py::test", "tests/acceptance/test_b.py::test"),
        ("tests/integration/test_operations.py::test", "tests/conformance/test_event_store.py::test"),
        ("tests/integration/test_a.py::test[native]", "tests/integration/test_b.py::test[native]"),
    ],
)
def test_others_are_apart(one: str, other: str) -> None:
    """What shares nothing may run at the same time."""
    assert group_of(one) != group_of(other)
