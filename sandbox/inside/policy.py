"""The language of handlers: Python without what reaches out of the program.

`compile_handler` works in two passes over the syntax tree. `Prepare`, ours, turns what models write and
RestrictedPython refuses (imports, annotations, private names, bare excepts) into plain forms or guards.
`HandlerPolicy` is RestrictedPython's checker with the guards that our run time does not need taken out:
every object that a handler can reach is safe to iterate, to index and to compare, because attribute reads
go through an allow-list of exact types (`guards.read_attribute`) and no module, frame, code object, type
constructor or file is among the values that it returns.
"""

# ruff: noqa: N802, N815 - the methods are named for the syntax nodes they visit

import ast
from types import CodeType
from typing import Any

from RestrictedPython.transformer import RestrictingNodeTransformer

from sandbox.inside.facades import FACADES

MAX_NODES = 20_000
MAX_DEPTH = 150
MAX_VIOLATIONS = 20
FILENAME = "<handler>"
TEXT_LIMIT = 600

_MISSING = {
    "open": "there are no files",
    "eval": "there is no eval",
    "exec": "there is no exec",
    "compile": "there is no compile",
    "globals": "there is no globals()",
    "locals": "there is no locals()",
    "vars": "there is no vars()",
    "dir": "there is no dir()",
    "input": "there is no console",
    "setattr": "there is no setattr; assign to the attribute",
    "delattr": "there is no delattr",
    "breakpoint": "there is no debugger",
    "help": "there is no console",
    "memoryview": "there is no memoryview",
    "object": "there is no object class to name",
    "BaseException": "catch Exception instead",
    "SystemExit": "return from the function instead",
    "KeyboardInterrupt": "there are no interrupts",
    "exit": "return from the function instead",
    "quit": "return from the function instead",
}


class Refused(Exception):
    """The source is not in the language. `violations` lists (line or None, what is wrong)."""

    def __init__(self, violations: list[tuple[int | None, str]]) -> None:
        self.violations = violations[:MAX_VIOLATIONS]
        super().__init__("; ".join(what for _, what in self.violations))


class GuardName(ast.Name):
    """A name that only these passes write; the program's own names are never of this class."""


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
    _measure(tree)
    violations: list[tuple[int | None, str]] = []
    prepared = Prepare(tree, violations).visit(tree)
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


def _measure(tree: ast.AST) -> None:
    level: list[ast.AST] = [tree]
    depth = nodes = 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise Refused([(getattr(level[0], "lineno", None), f"nested deeper than {MAX_DEPTH} levels")])
        if nodes > MAX_NODES:
            raise Refused([(None, f"larger than {MAX_NODES} syntax nodes")])
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def _guard(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=GuardName(name, ast.Load()), args=list(args), keywords=[])


def _is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not name.startswith("__") and not name.endswith("_")


class Prepare(ast.NodeTransformer):
    """Turns what models write into what `HandlerPolicy` accepts, and says plainly what is missing."""

    def __init__(self, tree: ast.Module, violations: list[tuple[int | None, str]]) -> None:
        self.violations = violations
        self.bound: set[str] = set()
        self.parameters: set[str] = set()
        used: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=context):
                    used.add(name)
                    if not isinstance(context, ast.Load):
                        self.bound.add(name)
                case ast.Attribute(attr=name):
                    used.add(name)
                case ast.arg(arg=name):
                    self.parameters.add(name)
                    self.bound.add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    self.bound.add(name)
                case ast.alias(name=name, asname=asname):
                    self.bound.add(asname or name)
                case ast.ExceptHandler(name=str(name)):
                    self.bound.add(name)
        # No name of the program starts with it, so a renamed name meets no other.
        self.prefix = "private"
        while any(name.startswith(self.prefix) for name in used | self.bound):
            self.prefix += "_x"
        self.first_parameters: list[str | None] = []

    def refuse(self, node: ast.AST, what: str) -> None:
        """Record a violation."""
        self.violations.append((getattr(node, "lineno", None), what))

    def rename(self, name: str) -> str:
        """A private name under its public spelling; every other name as it is."""
        return self.prefix + name if _is_private(name) else name

    def at(self, new: Any, old: ast.AST) -> Any:
        """`new`, placed where `old` is."""
        return ast.fix_missing_locations(ast.copy_location(new, old))

    def visit_Name(self, node: ast.Name) -> Any:
        """Renames private names; says what is missing."""
        if node.id == "__name__" and isinstance(node.ctx, ast.Load):
            return self.at(ast.Constant("handler"), node)
        if node.id in _MISSING and node.id not in self.bound:
            self.refuse(node, f"{node.id} is not available: {_MISSING[node.id]}")
        node.id = self.rename(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drops the annotation."""
        node.arg = self.rename(node.arg)
        node.annotation = None
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        """Renames private names."""
        node.names = [self.rename(name) for name in node.names]
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        """Renames private names."""
        node.names = [self.rename(name) for name in node.names]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drops annotations; notes the first parameter, for `super().__init__`."""
        node.name = self.rename(node.name)
        node.returns = None
        node.type_comment = None
        positional = node.args.posonlyargs + node.args.args
        self.first_parameters.append(self.rename(positional[0].arg) if positional else None)
        self.generic_visit(node)
        self.first_parameters.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Renames; class keywords are refused here, RestrictedPython would drop some in silence."""
        if node.keywords:
            self.refuse(node, "class keywords are not available")
        node.name = self.rename(node.name)
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """`x: int = 1` is `x = 1`; a bare `x: int` is nothing."""
        if node.value is None:
            return self.at(ast.Pass(), node)
        return self.visit(self.at(ast.Assign(targets=[node.target], value=node.value), node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """A bare `except:` catches `Exception`, so that nothing swallows the end of the call."""
        if node.type is None:
            node.type = self.at(GuardName("_exception_", ast.Load()), node)
        if node.name:
            node.name = self.rename(node.name)
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """Renames private ones; `x.__name__` goes through a guard that knows names of types and functions only."""
        self.generic_visit(node)
        node.attr = self.rename(node.attr)
        if node.attr == "__name__" and isinstance(node.ctx, ast.Load):
            return self.at(_guard("_name_of_", node.value), node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """`super().__init__(...)` is the one use of `super` there is; keywords follow their parameters' names."""
        if self._may_be_own(node.func):
            for keyword in node.keywords:
                if keyword.arg in self.parameters:
                    keyword.arg = self.rename(keyword.arg)
        match node.func:
            case ast.Attribute(attr="__init__", value=ast.Call(func=ast.Name(id="super"), args=[], keywords=[])):
                return self._super_init(node)
        self.generic_visit(node)
        return node

    def _may_be_own(self, function: ast.expr) -> bool:
        # A builtin, a tool or a method of text and dict takes keywords under the names that were written.
        match function:
            case ast.Name(id=name):
                return name in self.bound
            case ast.Attribute(attr=name):
                return name not in ("format", "update")
        return True

    def _super_init(self, node: ast.Call) -> Any:
        first = self.first_parameters[-1] if self.first_parameters else None
        if first is None:
            self.refuse(node, "super() is used outside a method")
            return node
        own: list[ast.expr] = [GuardName("__class__", ast.Load()), ast.Name(first, ast.Load())]
        args = [self.visit(arg) for arg in node.args]
        keywords = [self.visit(keyword) for keyword in node.keywords]
        return self.at(ast.Call(func=GuardName("_super_init_", ast.Load()), args=own + args, keywords=keywords), node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        """A format specification goes through a guard that bounds its widths."""
        self.generic_visit(node)
        if node.format_spec is None:
            return node
        call = _guard("_format_", node.value, ast.Constant(node.conversion), node.format_spec)
        return self.at(ast.FormattedValue(value=call, conversion=-1, format_spec=None), node)

    def visit_Import(self, node: ast.Import) -> Any:
        """`import math` binds the facade of that name."""
        return [
            self.at(ast.Assign([ast.Name(self.rename(alias.asname or alias.name), ast.Store())], value), node)
            for alias in node.names
            if (value := self._module(node, alias.name, alias.asname)) is not None
        ] or self.at(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """`from math import floor` binds a member of the facade."""
        if node.module == "__future__" and node.level == 0:
            return self.at(ast.Pass(), node)
        if node.level or self._module(node, node.module or "", "as") is None:
            if node.level:
                self.refuse(node, "relative imports are not available")
            return self.at(ast.Pass(), node)
        module = node.module or ""
        bindings = []
        for alias in node.names:
            if alias.name not in FACADES[module].members:
                known = ", ".join(sorted(FACADES[module].members))
                self.refuse(node, f"{module}.{alias.name} is not available; {module} has: {known}"[:TEXT_LIMIT])
                continue
            value = _guard("_member_", ast.Constant(module), ast.Constant(alias.name))
            name = ast.Name(self.rename(alias.asname or alias.name), ast.Store())
            bindings.append(self.at(ast.Assign([name], value), node))
        return bindings or self.at(ast.Pass(), node)

    def _module(self, node: ast.AST, name: str, asname: str | None) -> ast.expr | None:
        if name not in FACADES:
            self.refuse(node, f"module {name[:60]} is not available; there are: {', '.join(sorted(FACADES))}")
            return None
        if "." in name and asname is None:
            self.refuse(node, f"write: import {name} as ..., or from {name} import ...")
            return None
        return _guard("_module_", ast.Constant(name))


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
        self.error(node, "with statements are not available")
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

    def visit_Call(self, node: ast.Call) -> Any:
        """Star arguments need no guard either: every callable in reach is safe to call."""
        return self._contents(node)
