"""How a response becomes JSON, and what a binding says of itself."""

import json

import pytest

from mesh.errors import FieldFault, PolystreamError
from tests.support.rest_shapes import shapes
from tests.support.rest_trial import Trial, one


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return shapes()


@pytest.mark.parametrize(
    ("path", "fields", "answer"),
    [
        ("part", {"part": {"name": "a", "size": 2}}, {"name": "a", "size": "2", "tags": []}),
        ("tags", {"tags": ["a", "é"]}, ["a", "é"]),
        ("tags", {}, []),
        ("number", {"number": 2**53 + 1}, str(2**53 + 1)),
        ("number", {}, "0"),
        ("parts", {"parts": [{"name": "a"}]}, [{"name": "a", "size": "0", "tags": []}]),
        ("labels", {"labels": {"a": "b"}}, {"a": "b"}),
        ("made_time", {"made_time": "2026-01-31T12:00:00Z"}, "2026-01-31T12:00:00Z"),
    ],
)
def test_a_response_body_is_a_field(trial: Trial, path: str, fields: dict[str, object], answer: object) -> None:
    """A message, a list, a map or a single value is the whole JSON."""
    binding = trial.routes.find("GET", f"/answer/{path}").binding
    assert json.loads(binding.write(trial.thing(**fields))) == answer


def test_a_response_without_a_response_body(trial: Trial) -> None:
    """All of the message is the JSON, in the proto's names."""
    binding = trial.routes.find("GET", "/answer/all").binding
    written = json.loads(binding.write(trial.thing(is_on=True, other="a")))
    assert (written["is_on"], written["other"], written["number"]) == (True, "a", "0")
    assert "part" not in written


def test_what_a_binding_says_of_itself(trial: Trial) -> None:
    """Doors ask for these."""
    binding = trial.routes.find("POST", "/whole/n").binding
    said = (binding.rpc, binding.method, binding.template, binding.streams, binding.takes_body, binding.is_inherited)
    assert said == (f"{trial.package}.Trials/Whole", "POST", "/whole/{name}", False, True, False)
    assert not trial.routes.find("GET", "/get/n").binding.takes_body


def test_a_stream_of_answers_says_so() -> None:
    """Each message of it is written by itself."""
    rule = 'get: "/watch" response_body: "name"'
    rpc = f"rpc Watch(Thing) returns (stream Thing) {{ option (google.api.http) = {{ {rule} }}; }}"
    trial = Trial(rpc)
    binding = trial.routes.find("GET", "/watch").binding
    assert binding.streams
    assert binding.write(trial.thing(name="a")) == b'"a"'


def test_faults_are_bounded(trial: Trial) -> None:
    """An answer names fifty at most."""
    query = "&".join(f"bogus{number}=1" for number in range(80))
    with pytest.raises(PolystreamError) as refused:
        trial.read("GET", f"/get/n?{query}")
    assert len(refused.value.faults) == 50
    assert refused.value.faults[0] == FieldFault("bogus0", "there is no such field; check its name")


def test_trials_have_one_binding(trial: Trial) -> None:
    """The helper that other tests make single rules by makes just one."""
    assert len(Trial(one('get: "/only"')).routes.bindings) == 1
    assert len(trial.routes.bindings) > 30
