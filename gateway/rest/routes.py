"""From an HTTP method and a path to a binding, as `google.api.http` in the descriptors says."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from polystream.options.v1 import options_pb2

from gateway.rest.bindings import Binding
from gateway.rest.path_tree import ANY_METHOD, Leaf, PathTree, Route
from gateway.rest.templates import parse_template
from mesh.errors import PolystreamError, Reason

MAX_PATH_BYTES: Final = 8_000  # what every HTTP client and server should bear (RFC 9110, section 4.1)

_PATTERNS: Final = ("get", "put", "post", "delete", "patch")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")  # in the order in which `allow` lists them
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ENCODED_COLONS: Final = ("%3A", "%3a")


class MethodNotAllowed(PolystreamError):  # noqa: N818 # the standard name of status 405 (RFC 9110, section 15.5.6)
    """The path exists, and does not take this HTTP method. `allow` has those that it takes."""

    def __init__(self, allow: tuple[str, ...], verbs: str = "") -> None:
        message = f"the path does not take this HTTP method; it takes {', '.join(allow)}"
        super().__init__(Reason.METHOD_NOT_ALLOWED, f"{message}; behind it may stand {verbs}" if verbs else message)
        self.allow = allow


class Match(NamedTuple):
    """What a request's path leads to."""

    binding: Binding
    variables: tuple[str, ...]  # as they were sent, percent-encoded, in the order of the template


class _Path(NamedTuple):
    """A path, split. The same path with a verb cut off is another one."""

    segments: list[str]  # as they were sent
    literals: list[str]  # percent-decoded
    verb: str
    end: str  # a slash at the end, or ""


class Routes:
    """All bindings of the API. Compiled when the gateway starts.

    Raises ValueError for a rule that breaks those of google/api/http.proto, and for two that clash.
    """

    def __init__(self, services: Sequence[ServiceDescriptor]) -> None:
        self._tree: PathTree[Binding] = PathTree()
        self._verbs: set[str] = set()
        bindings: list[Binding] = []
        for service in services:
            for method in service.methods:
                for binding in _bindings(method):
                    template = parse_template(binding.template)
                    self._tree.add(template, binding.method, binding)
                    self._verbs.add(template.verb)
                    bindings.append(binding)
        self._verbs.discard("")
        self.bindings: Final = tuple(bindings)

    def find(self, method: str, path: str) -> Match:
        """Return what a request with this HTTP method and path is for; HEAD is for what GET is for.

        `path` is the raw one, percent-encoded, without the query. One slash at its end is as none. An encoded colon
        before a verb is as a colon, where the path with that verb takes the method.

        Raises PolystreamError UNKNOWN_PATH and HEADERS_TOO_LARGE, and MethodNotAllowed.
        """
        if ":" not in path and "%" not in path and len(path) <= MAX_PATH_BYTES:
            segments = path.split("/")
            del segments[0]
            sole = self._tree.sole_leaf(segments) if path[:1] == "/" else None
            route = None if sole is None else sole.methods.get(method)
            if route is not None:
                return Match(route.target, route.captured(segments, ""))
        return self._search(method, path)

    def _search(self, method: str, path: str) -> Match:
        """Find what `find` does, in every way in which the path can be read."""
        plain = _split(path)
        found: list[Leaf[Binding]] = []
        for cut in self._readings(plain):
            for leaf in self._tree.leaves(cut.literals, cut.verb):
                route = leaf.find(method) or (_head(leaf) if method == "HEAD" else None)
                if route is not None:
                    return Match(route.target, route.captured(cut.segments, cut.end))
                found.append(leaf)
                if leaf.decides and not _is_encoded(plain, cut):
                    raise MethodNotAllowed(_allow([leaf]), _verbs_behind([leaf]))
        if not found:
            raise _unknown_path(path)
        raise MethodNotAllowed(_allow(found), _verbs_behind(found))

    def allowed(self, path: str) -> tuple[str, ...]:
        """Return the HTTP methods that a path takes, OPTIONS among them; none where there is no such path."""
        try:
            plain = _split(path)
        except PolystreamError:
            return ()
        found: list[Leaf[Binding]] = []
        for cut in self._readings(plain):
            for leaf in self._tree.leaves(cut.literals, cut.verb):
                found.append(leaf)
                if leaf.decides and not _is_encoded(plain, cut):
                    return _allow([leaf])
        return _allow(found) if found else ()

    def _readings(self, plain: _Path) -> Iterator[_Path]:
        """Yield the ways to read a path: with what stands behind its last colon as a verb, and without."""
        last = plain.segments[-1]
        if ":" in last or "%" in last:
            for colon in (":", *_ENCODED_COLONS):
                head, found, behind = last.rpartition(colon)
                verb = unquote(behind)
                if found and head and verb in self._verbs:
                    segments = [*plain.segments[:-1], head]
                    yield _Path(segments, [*plain.literals[:-1], unquote(head)], verb, plain.end)
        yield plain


def _is_encoded(plain: _Path, cut: _Path) -> bool:
    """Whether a verb was cut off at an encoded colon, which may as well be part of a value."""
    return bool(cut.verb) and plain.segments[-1][len(cut.segments[-1])] != ":"


def _split(path: str) -> _Path:
    if len(path) > MAX_PATH_BYTES:
        raise PolystreamError(
            Reason.HEADERS_TOO_LARGE, f"the path is longer than the {MAX_PATH_BYTES} bytes that are allowed; shorten it"
        )
    if path[:1] != "/" or "//" in path:
        raise _unknown_path(path)
    end = "/" if path[-1] == "/" and len(path) > 1 else ""
    segments = path[1 : len(path) - len(end)].split("/")
    literals = [unquote(segment) for segment in segments] if "%" in path else segments
    return _Path(segments, literals, "", end)


def _unknown_path(path: str) -> PolystreamError:
    if "//" in path:
        return PolystreamError(
            Reason.UNKNOWN_PATH,
            "the path has two slashes side by side: what belongs between them, such as an identifier, is missing; "
            "/docs lists all paths",
        )
    return PolystreamError(Reason.UNKNOWN_PATH)


def _head(leaf: Leaf[Binding]) -> "Route[Binding] | None":
    """Return what GET is for, for a HEAD; a stream has no headers of its own to ask for."""
    route = leaf.methods.get("GET")
    return None if route is None or route.target.streams else route


def _allow(leaves: Iterable[Leaf[Binding]]) -> tuple[str, ...]:
    methods = {method for leaf in leaves for method in leaf.methods}
    if ANY_METHOD in methods:
        methods = methods - {ANY_METHOD} | set(_METHODS)
    elif any(_head(leaf) is not None for leaf in leaves):
        methods.add("HEAD")
    known = [method for method in _METHODS if method in methods]
    return (*known, *sorted(methods.difference(_METHODS, ("OPTIONS",))), "OPTIONS")


def _verbs_behind(leaves: Iterable[Leaf[Binding]]) -> str:
    """Say which verbs may stand behind a path, with their HTTP methods: whoever asks for another may have meant one."""
    return ", ".join(
        f":{verb} ({', '.join(leaf.methods)})"
        for end in leaves
        for verb, leaf in end.node.leaves.items()
        if verb and leaf is not end
    )


def _bindings(method: MethodDescriptor) -> Iterator[Binding]:
    """Yield the bindings of an RPC. Raises ValueError for a rule that is wrong."""
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    paths: list[options_pb2.InheritedPath] = list(options.Extensions[options_pb2.inherited])  # type: ignore[index] # stub
    inherited = {path.path: path for path in paths}
    seen = set()
    for one in (rule, *rule.additional_bindings):
        if one is not rule and one.additional_bindings:
            raise ValueError(f"{method.full_name}: additional bindings may not have additional bindings themselves")
        http_method, template = _pattern(method, one)
        path = inherited.get(template)
        seen.add(template)
        try:
            yield Binding(
                method,
                http_method,
                parse_template(template),
                body=one.body,
                response_body=one.response_body,
                is_inherited=path is not None,
                query_aliases=dict(path.query_aliases) if path is not None else {},
            )
        except ValueError as error:
            raise ValueError(f"{method.full_name}: {error}") from error
    if stray := inherited.keys() - seen:
        raise ValueError(f"{method.full_name}: no binding has the inherited path {min(stray)}")


def _pattern(method: MethodDescriptor, rule: http_pb2.HttpRule) -> tuple[str, str]:
    """Return the HTTP method and the path template of a rule."""
    if rule.selector and rule.selector != method.full_name:
        raise ValueError(f"{method.full_name}: the rule is for {rule.selector}")
    pattern = rule.WhichOneof("pattern")
    if pattern in _PATTERNS:
        return pattern.upper(), getattr(rule, pattern)
    if pattern == "custom" and rule.custom.kind and _TOKEN.issuperset(rule.custom.kind):
        return rule.custom.kind, rule.custom.path
    raise ValueError(f"{method.full_name}: the rule has neither an HTTP method nor a custom kind that is one")
