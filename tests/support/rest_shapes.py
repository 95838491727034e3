"""A service under trial with bindings of every shape."""

from functools import cache

from tests.support.rest_trial import Trial

_RPCS = """
  rpc Get(Thing) returns (Thing) { option (google.api.http) = { get: "/get/{name}" }; }
  rpc Typed(Thing) returns (Thing) { option (google.api.http) = {
    get: "/number/{number}"
    additional_bindings { get: "/small/{small}" }
    additional_bindings { get: "/natural/{natural}" }
    additional_bindings { get: "/large/{large}" }
    additional_bindings { get: "/is_on/{is_on}" }
    additional_bindings { get: "/ratio/{ratio}" }
    additional_bindings { get: "/share/{share}" }
    additional_bindings { get: "/data/{data}" }
    additional_bindings { get: "/colour/{colour}" }
    additional_bindings { get: "/note/{note}" }
    additional_bindings { get: "/left/{left}" }
  }; }
  rpc Multi(Thing) returns (Thing) { option (google.api.http) = {
    get: "/multi/{name=shelves/*/books/*}"
    additional_bindings { get: "/rest/{name=**}" }
    additional_bindings { get: "/fixed/{name=here}" }
  }; }
  rpc Nested(Thing) returns (Thing) { option (google.api.http) = { get: "/nested/{part.part.name}" }; }
  rpc Whole(Thing) returns (Thing) { option (google.api.http) = {
    post: "/whole/{name}" body: "*"
    additional_bindings { post: "/deep/{part.name}" body: "*" }
    additional_bindings { post: "/choice/{left}" body: "*" }
    additional_bindings { post: "/shape/{part.circle}" body: "*" }
  }; }
  rpc Field(Thing) returns (Thing) { option (google.api.http) = {
    patch: "/field/{part.name}" body: "part"
    additional_bindings { put: "/text/{name}" body: "note" }
    additional_bindings { put: "/list/{name}" body: "tags" }
    additional_bindings { put: "/parts/{name}" body: "parts" }
    additional_bindings { put: "/map/{name}" body: "labels" }
    additional_bindings { put: "/time/{name}" body: "made_time" }
    additional_bindings { put: "/middle/{name}" body: "middle" }
    additional_bindings { put: "/free/{name}" body: "free" }
  }; }
  rpc Answer(Thing) returns (Thing) { option (google.api.http) = {
    get: "/answer/part" response_body: "part"
    additional_bindings { get: "/answer/tags" response_body: "tags" }
    additional_bindings { get: "/answer/number" response_body: "number" }
    additional_bindings { get: "/answer/parts" response_body: "parts" }
    additional_bindings { get: "/answer/labels" response_body: "labels" }
    additional_bindings { get: "/answer/made_time" response_body: "made_time" }
    additional_bindings { get: "/answer/all" }
  }; }
  rpc Order(Thing) returns (Thing) {
    option (google.api.http) = { post: "/order/{name}" body: "*" };
    option (polystream.options.v1.command) = { key: "name" };
  }
  rpc OrderKeyless(Keyless) returns (Thing) {
    option (google.api.http) = { post: "/keyless" body: "*" };
    option (polystream.options.v1.command) = { key: "user_id" };
  }
  rpc Alias(Thing) returns (Thing) {
    option (google.api.http) = { post: "/new/{name}" body: "*" additional_bindings { post: "/alt" body: "*" } };
    option (polystream.options.v1.inherited) = {
      path: "/alt" query_aliases { key: "numero" value: "number" } query_aliases { key: "parte" value: "part" }
    };
  }
"""


@cache
def shapes() -> Trial:
    """Return the service, compiled once."""
    return Trial(_RPCS)
