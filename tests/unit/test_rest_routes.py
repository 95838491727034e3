"""Which binding a path leads to, and what is said of a path or method that leads to none."""

import pytest

from gateway.rest.routes import MAX_PATH_BYTES, MethodNotAllowed, Routes
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from tests.support.rest_trial import Trial, one

ID = "018f4e9c-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def routes() -> Routes:
    """Return the API's own routes."""
    return Routes(load_catalog().services)


@pytest.fixture(scope="module")
def shapes() -> Trial:
    """Return routes that overlap."""
    return Trial("""
      rpc List(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/things" }; }
      rpc Get(Thing) returns (Thing) { option (google.api.http) = {
        get: "/v1/{name=things/*}"
        additional_bindings { get: "/v1/things/{number}/of/{other}" }
      }; }
      rpc Find(Thing) returns (Thing) { option (google.api.http) = { post: "/v1/things/find" body: "*" }; }
      rpc Make(Thing) returns (Thing) { option (google.api.http) = { post: "/v1/things/{name}" body: "*" }; }
      rpc Stop(Thing) returns (Thing) { option (google.api.http) = { post: "/v1/things/{name}:stop" body: "*" }; }
      rpc Pause(Thing) returns (Thing) { option (google.api.http) = { post: "/v1/{name=things/*}:pause" body: "*" }; }
      rpc Watch(Thing) returns (stream Thing) { option (google.api.http) = { get: "/v1/things/{name}:watch" }; }
      rpc All(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/all/{name=**}" }; }
      rpc AllRun(Thing) returns (Thing) { option (google.api.http) = { post: "/v1/all/{name=**}:run" }; }
      rpc Deep(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/all/deep/{other}/{name=x/**}" }; }
      rpc Any(Thing) returns (Thing) { option (google.api.http) = { custom { kind: "*" path: "/v1/any/{name}" } }; }
      rpc Exact(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/any/{other}" }; }
      rpc Purge(Thing) returns (Thing) {
        option (google.api.http) = { custom { kind: "PURGE" path: "/v1/things/{name}" } };
      }
      rpc Head(Thing) returns (Thing) { option (google.api.http) = { custom { kind: "HEAD" path: "/v1/things" } }; }
      rpc Star(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/*/star/{name}" }; }
      rpc Colon(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/a%3Ab/{name}" }; }
    """)


@pytest.mark.parametrize(
    ("method", "path", "rpc", "variables"),
    [
        ("GET", "/v1/users/7", "GetUser", ("7",)),
        ("HEAD", "/v1/users/7", "GetUser", ("7",)),
        ("PATCH", "/v1/users/7", "UpdateUser", ("7",)),
        ("DELETE", "/v1/users/7/views/x", "DeleteView", ("7", "x")),
        ("POST", "/v1/users/7/payments/8:cancel", "CancelPayment", ("7", "8")),
        ("POST", f"/v1/operations/{ID}:wait", "WaitOperation", (ID,)),
        ("GET", f"/v1/operations/{ID}:watch", "WatchOperation", (ID,)),
        ("GET", f"/v1/operations/{ID}", "GetOperation", (ID,)),
        ("POST", "/v1/recommendations:generate", "GenerateRecommendations", ()),
        ("POST", "/v1/users/7/recommendations:generate", "GenerateRecommendations", ("7",)),
        ("POST", "/usuarios", "CreateUser", ()),
        ("POST", "/usuarios/7/config", "UpdatePreferences", ("7",)),
        ("GET", "/recomendacoes/7", "GetRecommendations", ("7",)),
        ("POST", "/recomendacoes/gerar", "GenerateRecommendations", ()),
        ("GET", f"/status/{ID}", "GetOperation", (ID,)),
    ],
)
def test_paths_of_the_api(routes: Routes, method: str, path: str, rpc: str, variables: tuple[str, ...]) -> None:
    """Canonical and inherited paths reach their RPC; HEAD is as GET."""
    found = routes.find(method, path)
    assert (found.binding.rpc.rpartition("/")[2], found.variables) == (rpc, variables)


@pytest.mark.parametrize(
    ("method", "path", "rpc", "variables"),
    [
        ("GET", "/v1/things", "List", ()),
        ("HEAD", "/v1/things", "Head", ()),
        ("GET", "/v1/things/a", "Get", ("things/a",)),
        ("GET", "/v1/things/1/of/b", "Get", ("1", "b")),
        ("POST", "/v1/things/a", "Make", ("a",)),
        ("POST", "/v1/things/find", "Find", ()),
        ("POST", "/v1/things/a:stop", "Stop", ("a",)),
        ("POST", "/v1/things/a:pause", "Pause", ("things/a",)),
        ("POST", "/v1/things/a:b:stop", "Stop", ("a:b",)),
        ("POST", "/v1/things/a:other", "Make", ("a:other",)),
        ("POST", "/v1/things/find:stop", "Stop", ("find",)),
        ("PURGE", "/v1/things/a", "Purge", ("a",)),
        ("GET", "/v1/all", "All", ("",)),
        ("GET", "/v1/all/", "All", ("",)),
        ("GET", "/v1/all/a", "All", ("a",)),
        ("GET", "/v1/all/a/b%2Fc", "All", ("a/b%2Fc",)),
        ("GET", "/v1/all/a/b/", "All", ("a/b/",)),
        ("GET", "/v1/all/a:other", "All", ("a:other",)),
        ("POST", "/v1/all/a/b:run", "AllRun", ("a/b",)),
        ("GET", "/v1/all/deep/a", "All", ("deep/a",)),
        ("GET", "/v1/all/deep/a/y", "All", ("deep/a/y",)),
        ("GET", "/v1/all/deep/a/x", "Deep", ("a", "x")),
        ("GET", "/v1/all/deep/a/x/y/z", "Deep", ("a", "x/y/z")),
        ("GET", "/v1/any/a", "Exact", ("a",)),
        ("POST", "/v1/any/a", "Any", ("a",)),
        ("REPORT", "/v1/any/a", "Any", ("a",)),
        ("GET", "/v1/whatever/star/a", "Star", ("a",)),
        ("GET", "/v1/things/star/a", "Star", ("a",)),
        ("GET", "/v1/a%3Ab/c", "Colon", ("c",)),
        ("GET", "/v1/a:b/c", "Colon", ("c",)),
        ("GET", "/v1/a%3ab/c%20d", "Colon", ("c%20d",)),
        ("GET", "/v%31/thing%73/a", "Get", ("thing%73/a",)),
    ],
)
def test_paths_of_other_shapes(shapes: Trial, method: str, path: str, rpc: str, variables: tuple[str, ...]) -> None:
    """A literal goes before `*`, and `*` before `**`; a verb is cut off; `**` takes none, one or many segments."""
    found = shapes.routes.find(method, path)
    assert (found.binding.rpc.rpartition("/")[2], found.variables) == (rpc, variables)


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users/7", "/usuarios", f"/v1/operations/{ID}:explain", "/health"])
def test_a_slash_at_the_end_is_none(routes: Routes, path: str) -> None:
    """It is taken, with a verb too."""
    assert routes.find("GET", f"{path}/") == routes.find("GET", path)
    assert routes.allowed(f"{path}/") == routes.allowed(path)


@pytest.mark.parametrize("colon", ["%3A", "%3a"])
@pytest.mark.parametrize(
    ("method", "path", "verb", "rpc"),
    [
        ("POST", f"/v1/operations/{ID}", "wait", "WaitOperation"),
        ("GET", f"/v1/operations/{ID}", "watch", "WatchOperation"),
        ("GET", f"/v1/operations/{ID}", "explain", "ExplainOperation"),
        ("POST", "/v1/users/7/payments/8", "cancel", "CancelPayment"),
        ("POST", "/v1/recommendations", "generate", "GenerateRecommendations"),
        ("POST", "/v1/recommendations", "gener%61te", "GenerateRecommendations"),
    ],
)
def test_an_encoded_colon_before_a_verb(
    routes: Routes, colon: str, method: str, path: str, verb: str, rpc: str
) -> None:
    """Clients that encode a whole segment encode its colon: it is taken."""
    for end in ("", "/"):
        assert routes.find(method, f"{path}{colon}{verb}{end}").binding.rpc.endswith(f"/{rpc}")


def test_an_encoded_colon_in_a_value(shapes: Trial) -> None:
    """It stays in the value where no verb is meant, or none that takes the HTTP method."""
    assert shapes.routes.find("POST", "/v1/things/a%3Ab").variables == ("a%3Ab",)
    found = shapes.routes.find("GET", "/v1/things/a%3Astop")
    assert (found.binding.rpc.rpartition("/")[2], found.variables) == ("Get", ("things/a%3Astop",))


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "*",
            "v1/users",
            "/v1",
            "/v1/user",
            "/v1/users/1/2/3/4",
            "/v2/users",
            "/usuarios/1/nada",
            "/V1/users",
        ),
        *("/v1/users/7:rename/x", "/v1/:generate", "/v1/recommendations/:generate"),
        *("/v1/users%2F7", "/v1/users/%zz/nada", "/v1/\xe9", "/historico-visualizacao/1/2", "/./v1/users"),
    ],
)
def test_an_unknown_path(routes: Routes, path: str) -> None:
    """It is UNKNOWN_PATH with a remedy, for every method."""
    for method in ("GET", "POST", "HEAD", "OPTIONS", "get"):
        with pytest.raises(PolystreamError, match="/docs") as refused:
            routes.find(method, path)
        assert refused.value.reason is Reason.UNKNOWN_PATH
    assert routes.allowed(path) == ()


@pytest.mark.parametrize(
    "path", ["//v1/users", "/v1//users", "/v1/users//views", "/v1/users//", "/v1/all//", "/v1/all/a//b"]
)
def test_two_slashes(routes: Routes, shapes: Trial, path: str) -> None:
    """Between them an identifier is missing: it is said, and `**` takes them no more than others."""
    for tried in (routes, shapes.routes):
        with pytest.raises(PolystreamError, match="two slashes") as refused:
            tried.find("GET", path)
        assert refused.value.reason is Reason.UNKNOWN_PATH


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/users/7", ("GET", "HEAD", "PATCH", "DELETE", "OPTIONS")),
        ("DELETE", "/v1/users", ("GET", "HEAD", "POST", "OPTIONS")),
        ("POST", "/health", ("GET", "HEAD", "OPTIONS")),
        ("GET", f"/v1/operations/{ID}:wait", ("POST", "OPTIONS")),
        ("HEAD", f"/v1/operations/{ID}:wait", ("POST", "OPTIONS")),
        ("POST", f"/v1/operations/{ID}:watch", ("GET", "OPTIONS")),
        ("HEAD", f"/v1/operations/{ID}:watch", ("GET", "OPTIONS")),
        ("OPTIONS", "/v1/users", ("GET", "HEAD", "POST", "OPTIONS")),
        ("GET", "/recomendacoes/gerar", ("POST", "OPTIONS")),
        ("get", "/v1/users", ("GET", "HEAD", "POST", "OPTIONS")),
        ("POST", "/v1/users/7/payments/8:cancle", ("GET", "HEAD", "OPTIONS")),
    ],
)
def test_a_method_that_a_path_does_not_take(routes: Routes, method: str, path: str, allowed: tuple[str, ...]) -> None:
    """The error has the methods that it takes, as `allowed` has; a path without variables decides for itself."""
    with pytest.raises(MethodNotAllowed) as refused:
        routes.find(method, path)
    assert refused.value.reason is Reason.METHOD_NOT_ALLOWED
    assert refused.value.allow == allowed == routes.allowed(path)
    assert ", ".join(allowed) in refused.value.message


def test_a_verb_misspelled(routes: Routes) -> None:
    """Whoever asks for a verb that there is not is told of those that there are, and none of the path is repeated."""
    with pytest.raises(MethodNotAllowed, match=r":wait \(POST\), :watch \(GET\), :explain \(GET\)") as refused:
        routes.find("POST", f"/v1/operations/{ID}:await")
    assert ID not in refused.value.message


def test_methods_of_overlapping_paths(shapes: Trial) -> None:
    """All that a path takes is allowed; an open method allows all."""
    assert shapes.routes.allowed("/v1/things/a") == ("GET", "HEAD", "POST", "PURGE", "OPTIONS")
    assert shapes.routes.allowed("/v1/things/find") == ("POST", "OPTIONS")
    assert shapes.routes.allowed("/v1/any/a") == ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    assert shapes.routes.allowed("/v1/all/deep/a/x") == ("GET", "HEAD", "OPTIONS")
    assert shapes.routes.allowed("/v1/all/a:run") == ("POST", "OPTIONS")


def test_a_path_at_and_beyond_the_bound(routes: Routes) -> None:
    """A path is bounded, in bytes."""
    path = "/v1/sessions/".ljust(MAX_PATH_BYTES, "x")
    assert routes.find("GET", path).binding.rpc.endswith("/GetSession")
    with pytest.raises(PolystreamError, match=str(MAX_PATH_BYTES)) as refused:
        routes.find("GET", f"{path}x")
    assert refused.value.reason is Reason.HEADERS_TOO_LARGE
    assert routes.allowed(f"{path}x") == ()


def test_many_segments_are_found_without_many_steps(shapes: Trial) -> None:
    """A path of any depth ends the search at the depth of the templates."""
    deep = "/a" * 3_000
    assert shapes.routes.find("GET", f"/v1/all{deep}").variables == (deep[1:],)
    with pytest.raises(PolystreamError):
        shapes.routes.find("GET", deep)


def aliased(path: str, alias: str, field: str) -> str:
    """Return an RPC at a path, with an inherited path that has an alias."""
    return (
        f'rpc Try(Thing) returns (Thing) {{ option (google.api.http) = {{ get: "{path}" }};'
        f" option (polystream.options.v1.inherited) = {{"
        f' path: "/b/{{name}}" query_aliases {{ key: "{alias}" value: "{field}" }} }}; }}'
    )


@pytest.mark.parametrize(
    ("rpcs", "wrong"),
    [
        (one('get: "/v1/**/x"'), "before its last"),
        (one('get: "/v1/{nix}"'), "no field"),
        (one('get: "/v1/{part.nix}"'), "no field"),
        (one('get: "/v1/{name.nix}"'), "no field"),
        (one('get: "/v1/{somethingElse}"'), "no field"),
        (one('get: "/v1/{tags}"'), "repeated"),
        (one('get: "/v1/{parts.name}"'), "repeated"),
        (one('get: "/v1/{part.tags}"'), "repeated"),
        (one('get: "/v1/{labels}"'), "map"),
        (one('get: "/v1/{labels.key}"'), "map"),
        (one('get: "/v1/{part}"'), "message"),
        (one('get: "/v1/{made_time}"'), "message"),
        (one('get: "/v1/{perhaps}"'), "message"),
        (one('get: "/v1/{name}" body: "*"'), "GET has no body"),
        (one('delete: "/v1/{name}" body: "part"'), "DELETE has no body"),
        (one('custom { kind: "HEAD" path: "/v1/{name}" } body: "*"'), "HEAD has no body"),
        (one('post: "/v1/{name}" body: "nix"'), "no field"),
        (one('post: "/v1/{name}" body: "part.name"'), "no field"),
        (one('post: "/v1/{name}" body: "name"'), "both"),
        (one('get: "/v1/{name}" response_body: "nix"'), "no field"),
        (one('get: "/v1/{name}" response_body: "part.name"'), "no field"),
        (one('custom { kind: "" path: "/v1/x" }'), "neither"),
        (one('custom { kind: "A B" path: "/v1/x" }'), "neither"),
        (one('body: "*"'), "neither"),
        (one('get: "/v1/x" selector: "other.Method"'), "other.Method"),
        (
            one('get: "/v1/x" additional_bindings { get: "/v1/y" additional_bindings { get: "/v1/z" } }'),
            "may not have additional bindings",
        ),
        (one('get: "/v1/{name}" additional_bindings { get: "/v1/{other}" }'), "bound already"),
        (one('get: "/v1/{name}" additional_bindings { get: "/v1/{other=*}" }'), "bound already"),
        (one('get: "/v1/a" additional_bindings { get: "/v1/{name=%61}" }'), "bound already"),
        (one('get: "/v1/a" additional_bindings { custom { kind: "GET" path: "/v1/a" } }'), "bound already"),
        (one('get: "/v1/{name=**}:x" additional_bindings { get: "/v1/**:x" }'), "bound already"),
        (
            'rpc Try(stream Thing) returns (Thing) { option (google.api.http) = { get: "/v1/x" }; }',
            "stream of requests",
        ),
        (aliased("/a", "x", "name"), "inherited path /b/"),
        (aliased("/b/{name}", "x", "nix"), "does not have"),
        (aliased("/b/{name}", "somethingElse", "name"), "itself"),
    ],
)
def test_rules_that_are_wrong(rpcs: str, wrong: str) -> None:
    """What google/api/http.proto forbids, and two rules for one path, are refused when the gateway starts."""
    with pytest.raises(ValueError, match=wrong):
        Trial(rpcs)


def test_an_rpc_without_a_rule_has_no_path() -> None:
    """It is gRPC's alone."""
    trial = Trial("rpc Try(Thing) returns (Thing);")
    with pytest.raises(PolystreamError):
        trial.routes.find("POST", f"/{trial.package}.Trials/Try")


def test_inherited_paths_are_those_that_the_protos_say(routes: Routes) -> None:
    """Each path outside of `/v1/` is marked in its proto, and no other."""
    paths = [
        "/usuarios", "/usuarios/1/config", "/usuarios/1/assinatura", "/usuarios/1/pagamento", "/recomendacoes/gerar",
        "/historico-visualizacao", "/cache/conteudo/1",
    ]  # fmt: skip
    assert all(routes.find("POST", path).binding.is_inherited for path in paths)
    for method in (method for service in load_catalog().services for method in service.methods):
        for binding in Routes([method.containing_service]).bindings:
            assert binding.is_inherited == (not binding.template.startswith("/v1/")), binding.template
