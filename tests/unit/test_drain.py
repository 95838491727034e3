"""What is said of commands that go on at the next start."""

from stack.supervisor.drain import what_goes_on


def test_a_few_are_named_and_many_are_counted() -> None:
    """Nobody takes a stop for a loss: the broker keeps them."""
    assert what_goes_on(["a"]).startswith("1 command is accepted and not applied yet: the broker keeps what it has")
    assert what_goes_on(["a", "b"]).endswith("at the next start (a, b)")
    said = what_goes_on([f"id-{number}" for number in range(1000)])
    assert said.startswith("1000 or more commands are")
    assert said.endswith("id-4, …)")
