"""Bytes of every version ever released, read by today's readers."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import protovalidate
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from contracts.releases import Contracts, released
from mesh.codec import Decoder
from mesh.schemas import load_schema
from tests.contract.make_golden_bytes import FOLDER, SCHEMA_ID, message_classes

_CLASSES = message_classes()
_RELEASES = {release.name: release for release in released()}


def _examples() -> Iterator[Any]:
    for release in _RELEASES.values():
        for record in release.schemas:
            examples = json.loads((FOLDER / release.name / f"{record}.json").read_text(encoding="utf-8"))
            for number, example in enumerate(examples):
                yield pytest.param(release, record, example, id=f"{release.name}-{record}-{number}")


class _Released:
    """A registry that has one schema of a release."""

    def __init__(self, text: str) -> None:
        self._text = text

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema."""
        assert schema_id == SCHEMA_ID
        return self._text


def _expected(record: str, example: dict[str, Any]) -> Message:
    return json_format.ParseDict(example["message"], _CLASSES[record]())


def test_every_record_of_every_release_has_golden_bytes() -> None:
    """No release without them, no record left out, no folder left over."""
    assert _RELEASES
    found = {folder.name: sorted(file.stem for file in folder.iterdir()) for folder in FOLDER.iterdir()}
    assert found == {release.name: sorted(release.schemas) for release in _RELEASES.values()}


@pytest.mark.parametrize(("release", "record", "example"), list(_examples()))
def test_released_records_are_read_from_kafka(release: Contracts, record: str, example: dict[str, Any]) -> None:
    """Avro bytes, with the schema that they were written with, give the message that was meant."""
    decoder = Decoder(_CLASSES[record], load_schema(record), _Released(release.schemas[record]))
    assert decoder.decode(base64.b64decode(example["avro"])) == _expected(record, example)


@pytest.mark.parametrize(("release", "record", "example"), list(_examples()))
def test_released_requests_are_read_and_valid(release: Contracts, record: str, example: dict[str, Any]) -> None:
    """Protobuf bytes of that version's clients give the message that was meant, which no rule of today refuses."""
    assert release.name
    message = _CLASSES[record].FromString(base64.b64decode(example["protobuf"]))
    assert message == _expected(record, example)
    assert protovalidate.collect_violations(message) == []
