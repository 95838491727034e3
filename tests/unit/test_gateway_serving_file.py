"""The file that says that a gateway serves: whole when it is there, and nobody else's when it goes."""

import json
import os
from pathlib import Path

from gateway.serving_file import ServingFile


def test_it_is_there_while_the_gateway_serves(tmp_path: Path) -> None:
    """With the process's ID, and nothing beside it."""
    path = tmp_path / "ready.json"
    file = ServingFile(str(path))
    file.remove()
    file.write()
    assert json.loads(path.read_text()) == {"pid": os.getpid()}
    assert list(tmp_path.iterdir()) == [path]
    file.remove()
    assert not path.exists()


def test_the_file_of_another_process_stays(tmp_path: Path) -> None:
    """One that was started in this one's place has written its own; what cannot be read is nobody's."""
    path = tmp_path / "ready.json"
    for text in ('{"pid": 1}', "", "[]"):
        path.write_text(text)
        ServingFile(str(path)).remove()
        assert path.read_text() == text


def test_without_a_path_there_is_none() -> None:
    """Nothing is written."""
    file = ServingFile("")
    file.write()
    file.remove()
