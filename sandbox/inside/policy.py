"""The language of handlers: Python without what reaches out of the program.

`compile_handler` works in two passes over the syntax tree. `Prepare`, ours, turns what models write and
RestrictedPython refuses (imports, annotations, private names, bare excepts) into plain forms or guards.
`HandlerPolicy` is RestrictedPython's checker with the guards that our run time does not need taken out:
every object that a handler can reach is safe to iterate, to index and to compare, because attribute reads
go through an allow-list of exact types (`attributes.read_attribute`) and no module, frame, code object, type
constructor or file is among the values that it returns.
"""

# ruff: noqa: N802, N815 - the methods are named for the syntax nodes they visit

import ast
from types import CodeType
from typing import Any

from RestrictedPython.transformer import ALLOWED_FUNC_NAMES, RestrictingNodeTransformer

from sandbox.inside.prepare import GuardName, Prepare

MAX_NODES = 20_000
MAX_DEPTH = 150
MAX_VIOLATIONS = 20
FILENAME = "<handler>"
_METHODS = frozenset(
    [
        "__bool__",
        "__call__",
        "__getitem__",
        "__hash__",
        "__iter__",
        "__len__",
        "__next__",
        "__post_init__",
        "__repr__",
        "__str__",
    ]
)
"""What a class may define beside what RestrictedPython allows (`__init__` and comparisons)."""


class Refused(Exception):
    """The source is not in the language. `violations` lists (line or None, what is wrong)."""

    def __init__(self, violations: list[tuple[int | None, str]]) -> None:
        self.violations = violations[:MAX_VIOLATIONS]
        super().__init__("; ".join(what for _, what in self.violations))


def compile_handler(source: str) -> CodeType:
    """Compile a handler's source.

    Raises:
        Refused: A syntax error, or something the language does not have.
    """
    try:
        tree = ast.parse(source, FILENAME, "exec")
    except SyntaxError as error:
        raise Refused([(error.lineno, f"syntax error: {error.msg}")]) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise Refused([(None, "the source cannot be parsed: too deep, or not text")]) from None
    nodes = _measured(tree)
    violations: list[tuple[int | None, str]] = []
    prepared = Prepare(tree, nodes, violations).visit(tree)
    policy = HandlerPolicy(violations)
    checked = policy.visit(prepared)
    if violations:
        raise Refused(sorted(set(violations), key=lambda violation: violation[0] or 0))
    ast.fix_missing_locations(checked)
    try:
        return compile(checked, FILENAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise Refused([(error.lineno, f"syntax error: {error.msg}")]) from None
    except (ValueError, RecursionError):
        raise Refused([(None, "the source cannot be compiled")]) from None


def _measured(tree: ast.AST) -> list[ast.AST]:
    """All nodes, level by level."""
    level = [tree]
    nodes: list[ast.AST] = []
    depth = 0
    while level:
        depth += 1
        nodes += level
        if depth > MAX_DEPTH:
            raise Refused([(getattr(level[0], "lineno", None), f"nested deeper than {MAX_DEPTH} levels")])
        if len(nodes) > MAX_NODES:
            raise Refused([(None, f"larger than {MAX_NODES} syntax nodes")])
        # As `ast.iter_child_nodes`, without its two generators a node.
        below: list[ast.AST] = []
        for node in level:
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, ast.AST):
                    below.append(value)
                elif type(value) is list:
                    below += [item for item in value if isinstance(item, ast.AST)]
        level = below
    return nodes


class HandlerPolicy(RestrictingNodeTransformer):
    """RestrictedPython's checker, told what our run time makes safe by other means."""

    def __init__(self, violations: list[tuple[int | None, str]]) -> None:
        super().__init__([], [], {})
        self.violations = violations

    def error(self, node: ast.AST, info: str) -> None:
        """Record a violation with its line."""
        self.violations.append((getattr(node, "lineno", None), info))

    def visit_GuardName(self, node: GuardName) -> ast.AST:
        """Ours."""
        return node

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:  # noqa: FBT001, FBT002
        """As RestrictedPython has it, with a few more methods, and words that say what to write."""
        if name is None or (allow_magic_methods and name in _METHODS and node.col_offset):
            return
        if name.startswith("__") and not (allow_magic_methods and name in ALLOWED_FUNC_NAMES):
            self.error(node, f"the name {name[:60]} is not available: write an ordinary name or method")
            return
        super().check_name(node, name, allow_magic_methods)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """`print` is an ordinary function that drops its text; `printed` is an ordinary name."""
        if node.id == "print" and isinstance(node.ctx, ast.Load):
            return node
        self.check_name(node, node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        """Allowed, with the names checked."""
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        """Allowed, with the names checked."""
        for name in node.names:
            self.check_name(node, name)
        return node

    def _contents(self, node: Any) -> Any:
        return self.node_contents_visit(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        """There is nothing to enter."""
        self.error(node, "with statements are not available: there is nothing to open or to lock; use try and finally")
        return node

    # Iterating, unpacking, indexing and item assignment need no guard: see the module's docstring.
    visit_comprehension = visit_For = visit_Assign = visit_Subscript = _contents

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """Names and items as they are; attributes through the same guard as their assignment."""
        return self._contents(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Tools are called without await."""
        self.error(node, "async is not available; call the tools as ordinary functions")
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """Tools are called without it."""
        self.error(node, "await is not available; call the tools as ordinary functions")
        return node

    def visit_TryStar(self, node: ast.AST) -> ast.AST:
        """CVE-2025-22153."""
        self.error(node, "except* is not available; write except")
        return node

    # Patterns match plain values: `Prepare.visit_MatchClass` has refused those that read attributes.
    visit_Match = visit_match_case = visit_MatchSingleton = visit_MatchSequence = visit_MatchOr = _contents
    visit_MatchClass = _contents

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        """A literal. A dotted name would be read past the guard."""
        if any(isinstance(inner, (ast.Attribute, ast.Call)) for inner in ast.walk(node.value)):
            self.error(node, "a value in a pattern is a literal; use if for other values")
            return node
        return self._contents(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        """Keys are literals, as in `visit_MatchValue`."""
        if any(isinstance(inner, (ast.Attribute, ast.Call)) for key in node.keys for inner in ast.walk(key)):
            self.error(node, "a key in a pattern is a literal; use if for other values")
            return node
        self.check_name(node, node.rest)
        return self._contents(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> Any:
        """Binds a name."""
        self.check_name(node, node.name)
        return self._contents(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        """Binds a name."""
        self.check_name(node, node.name)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """Star arguments need no guard either: every callable in reach is safe to call."""
        return self._contents(node)
