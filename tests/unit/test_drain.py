"""What is said of commands that a stop leaves undone."""

from pathlib import Path

from stack.supervisor.drain import what_is_left


def test_a_few_are_named_and_many_are_in_a_file(tmp_path: Path) -> None:
    """Whoever wants to send them again finds every one of them."""
    file = tmp_path / "left.txt"
    assert what_is_left(["a"], file).startswith("1 command was accepted and not applied")
    assert what_is_left(["a", "b"], file).endswith("has lost them: a, b")
    assert not file.exists()
    ids = [f"id-{number}" for number in range(7)]
    said = what_is_left(ids, file)
    assert said.startswith("7 commands were")
    assert said.endswith(f"id-4, …; all of them are in {file}")
    assert file.read_text().split() == ids


def test_all_are_named_where_no_file_can_be_written(tmp_path: Path) -> None:
    """As on a full disk."""
    ids = [f"id-{number}" for number in range(7)]
    assert what_is_left(ids, tmp_path).endswith(": " + ", ".join(ids))
