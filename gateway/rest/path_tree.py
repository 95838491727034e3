"""Paths to what is bound to them: a tree over segments, in which a literal goes before `*`, and `*` before `**`."""

from typing import Final, Generic, NamedTuple, TypeVar

from gateway.rest.templates import PathTemplate, Wildcard

ANY_METHOD: Final = "*"  # the kind of a custom pattern that leaves the HTTP method open (google/api/http.proto)

T = TypeVar("T")


class Route(NamedTuple, Generic[T]):
    """One binding at the end of a path."""

    target: T
    singles: tuple[int, ...] | None  # indices of the segments captured, where each variable takes exactly one
    spans: tuple[tuple[int, int | None], ...]  # first segment of each variable and the one behind its last

    def captured(self, segments: list[str], end: str) -> tuple[str, ...]:
        """Return the variables' text. `end` is the slash at the end of the path, if any: `**` takes it too."""
        if self.singles is not None:
            return tuple([segments[index] for index in self.singles])
        return tuple(
            "/".join(segments[start:stop]) + (end if stop is None and len(segments) > start else "")
            for start, stop in self.spans
        )


class Leaf(Generic[T]):
    """The end of one path, or of one verb behind it: what is bound to it by HTTP method."""

    __slots__ = ("decides", "methods", "node", "templates")

    def __init__(self, node: "Node[T]", *, decides: bool) -> None:
        self.node = node
        self.decides = decides  # nothing less exact is looked for: another method is not allowed here
        self.methods: dict[str, Route[T]] = {}
        self.templates: dict[str, str] = {}  # by HTTP method, to name what clashes

    def find(self, method: str) -> Route[T] | None:
        """Return what takes an HTTP method here."""
        return self.methods.get(method) or self.methods.get(ANY_METHOD)


class Node(Generic[T]):
    """One place in the tree."""

    __slots__ = ("leaves", "literals", "one", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, Node[T]] = {}
        self.one: Node[T] | None = None
        self.leaves: dict[str, Leaf[T]] = {}  # by verb: paths that end here
        self.rest: dict[str, Leaf[T]] = {}  # by verb: paths that go on with `**`


class PathTree(Generic[T]):
    """The tree. It is filled at start; each look-up visits a node at most once, whatever the path."""

    def __init__(self) -> None:
        self._root: Node[T] = Node()

    def add(self, template: PathTemplate, method: str, target: T) -> None:
        """Bind an HTTP method on a path. Raises ValueError where another template has bound it already."""
        node, decides = self._root, True
        for segment in template.segments:
            if segment is Wildcard.REST:
                decides = False
                break
            if segment is Wildcard.ONE:
                decides = False
                node.one = node.one or Node()
                node = node.one
            else:
                node = node.literals.setdefault(segment, Node())
        leaves = node.rest if Wildcard.REST in template.segments else node.leaves
        leaf = leaves.setdefault(template.verb, Leaf(node, decides=decides or bool(template.verb)))
        if method in leaf.methods:
            raise ValueError(f"{method} {template.text} is bound already, by {leaf.templates[method]}")
        spans = tuple((variable.start, variable.stop) for variable in template.variables)
        singles = tuple(v.start for v in template.variables) if all(v.is_single for v in template.variables) else None
        leaf.methods[method] = Route(target, singles, spans)
        leaf.templates[method] = template.text

    def sole_leaf(self, segments: list[str]) -> Leaf[T] | None:
        """Return the end that a path reaches where it has one way through the tree and nothing encoded in it.

        None where there is another way too, or none.
        """
        node = self._root
        for text in segments:
            below = node.literals.get(text)
            if below is None:
                below = node.one
            elif node.one is not None:
                return None
            if below is None or not text or node.rest:
                return None
            node = below
        return None if node.rest else node.leaves.get("")

    def leaves(self, literals: list[str], verb: str) -> list[Leaf[T]]:
        """Return the ends that a path reaches, the most exact one first.

        `literals` are the path's segments, percent-decoded.
        """
        found: list[Leaf[T]] = []
        _collect(self._root, literals, 0, verb, found)
        return found


def _collect(node: Node[T], literals: list[str], index: int, verb: str, found: list[Leaf[T]]) -> None:
    if index == len(literals):
        if (leaf := node.leaves.get(verb)) is not None:
            found.append(leaf)
    else:
        text = literals[index]
        if (below := node.literals.get(text)) is not None:
            _collect(below, literals, index + 1, verb, found)
        if node.one is not None and text:
            _collect(node.one, literals, index + 1, verb, found)
    if node.rest and (leaf := node.rest.get(verb)) is not None:
        found.append(leaf)
