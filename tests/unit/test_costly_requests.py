"""A request of the largest size is soon read, or refused, whatever is in it: nobody else is served meanwhile.

The bound is in seconds of CPU, several times what it takes, so that a busy machine says nothing else.
"""

import gc
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from polystream.v1.contents_pb2 import CacheContentRequest

from gateway.admission import Admissions
from gateway.calls import Caller
from gateway.rest.json_reader import JsonReader
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError

MAX_BYTES: Final = 65_536
BOUND_S: Final = 0.15  # at most 50 ms on an idle machine of the kind that the figures are of
CACHE_CONTENT: Final = "polystream.v1.CacheContentRequest"


def filled(begin: str, element: str, end: str) -> bytes:
    """Return a body of the largest size with as many elements as it holds."""
    count = (MAX_BYTES - len(begin) - len(end)) // (len(element) + 1)
    return (begin + ",".join([element] * count) + end).encode()


def bodies() -> Iterator[Any]:
    """Give bodies that are long to look through."""
    for element in ("1", "{}", "[]", "null", "true", '""', '"x"', '{"a":1}', "1e9", '"1_0"'):
        for field in ("genres", "title", "duration", "content_id", "kind", "ttl", "attributes"):
            yield pytest.param(filled(f'{{"{field}":[', element, "]}"), id=f"{field} {element}")
        yield pytest.param(filled('{"attributes":{', f'"k":{element}', "}}"), id=f"attributes k {element}")
    names = ",".join(f'"k{number}":1' for number in range(6_000))
    yield pytest.param(f'{{"attributes":{{{names}}}}}'.encode(), id="attributes of numbers")
    names = ",".join(f'"k{number}":"v"' for number in range(4_500))
    yield pytest.param(f'{{"attributes":{{{names}}}}}'.encode(), id="attributes")
    yield pytest.param(f"{{{names}}}".encode(), id="unknown")
    yield pytest.param(filled("{", '"title":"x"', "}"), id="title again and again")
    for text in ("[", '{"', '"', "{,", '{"a":', '"1', "\\", "\n", "{ "):
        yield pytest.param((text * MAX_BYTES).encode()[:MAX_BYTES], id=f"only {text!r}")
    for number in ("9" * 60_000, "1e999999999", "0." + "0" * 60_000, "1e-999999999"):
        yield pytest.param(f'{{"content_id":{number}}}'.encode(), id=f"number {number[:8]}")
        yield pytest.param(f'{{"content_id":"{number}"}}'.encode(), id=f"text {number[:8]}")


@pytest.fixture(scope="module")
def admission() -> Any:
    """Return the admission of the request that holds most: texts, numbers, a list and a map."""
    command = next(
        command for command in load_catalog().commands.values() if command.request_class is CacheContentRequest
    )
    return Admissions(max_request_bytes=MAX_BYTES, demo_data=False).of_command(command)


@pytest.mark.parametrize("body", list(bodies()))
def test_a_body_of_the_largest_size_is_soon_dealt_with(body: bytes, admission: Any) -> None:
    """Each is refused, and with a bounded number of faults."""
    reader = JsonReader(CACHE_CONTENT)
    gc.collect()
    began_s = time.process_time()
    with pytest.raises(PolystreamError) as refused:
        admission.admit(admission.decode(reader.read(body).message.to_binary()), Caller(), "id")
    refused.value.to_status()
    assert time.process_time() - began_s < BOUND_S
    assert len(refused.value.faults) <= 50


@pytest.mark.parametrize("element", ["", "x", "x" * 100])
def test_protobuf_of_the_largest_size_is_soon_dealt_with(element: str, admission: Any) -> None:
    """A list takes two bytes an element, of which each has rules; that it is too long is told with the others."""
    request = CacheContentRequest(genres=[element] * ((MAX_BYTES - 2) // (len(element) + 2)))
    began_s = time.process_time()
    with pytest.raises(PolystreamError) as refused:
        admission.admit(admission.decode(request.SerializeToString()), Caller(), "id")
    assert time.process_time() - began_s < BOUND_S
    assert ("genres", "repeated.max_items") in {(fault.field, fault.rule) for fault in refused.value.faults}
    assert len(request.genres) > 20
