"""The first pass over a handler's syntax tree: what models write becomes what `policy` checks.

Imports become reads of facades, annotations go, private names are spelled without their underscores, and what the
language does not have is refused in words that say what to write instead: they are shown to the model that wrote it.
"""

import ast
from typing import Any

from sandbox.inside.facades import FACADES
from sandbox.inside.instead import MISSING, MODULES
from sandbox.inside.records import FIELDS

TEXT_LIMIT = 600

_MATCHED = frozenset({"bool", "bytes", "dict", "float", "int", "list", "str", "tuple"})
_METADATA = frozenset({"__all__", "__author__", "__date__", "__license__", "__version__"})
"""Names that modules give themselves; here they are names like others."""


_NAMING = frozenset(
    [
        ast.Name, ast.Attribute, ast.keyword, ast.arg, ast.ClassDef, ast.FunctionDef, ast.Import, ast.ImportFrom,
        ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping,
    ]
)  # fmt: skip
"""The nodes that `Prepare` learns names from."""


class GuardName(ast.Name):
    """A name that only these passes write; the program's own names are never of this class."""


def _guard(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=GuardName(name, ast.Load()), args=list(args), keywords=[])


def _is_private(name: str) -> bool:
    if name in _METADATA:
        return True
    # What begins and ends with underscores is spelled as the language's own names and guards are.
    return name.startswith("_") and name != "_" and not name.endswith("_")


def _is_main_guard(node: ast.stmt) -> bool:
    match node:
        case ast.If(
            test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant("__main__")])
        ):
            return not node.orelse
    return False


def _fields(body: list[ast.stmt]) -> list[str]:
    """The annotated names of a class body."""
    return [
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and "ClassVar" not in ast.dump(node.annotation)
    ]


class Prepare(ast.NodeTransformer):
    """Turns what models write into what `HandlerPolicy` accepts, and says plainly what is missing."""

    def __init__(self, tree: ast.Module, nodes: list[ast.AST], violations: list[tuple[int | None, str]]) -> None:
        """`nodes` are all those of the tree."""
        # What a program does when it is run by itself is never done here.
        if any(map(_is_main_guard, tree.body)):
            tree.body = [node for node in tree.body if not _is_main_guard(node)]
            nodes = list(ast.walk(tree))
        self.violations = violations
        self.bound: set[str] = set()
        self.parameters: set[str] = set()
        self.modules: dict[str, set[str]] = {}
        """Modules by the name that an import binds."""
        self.first_parameters: list[str | None] = []
        used: set[str] = set()
        for node in nodes:
            if type(node) in _NAMING:
                self._gather(node, used)
        # No name of the program starts with it, so a renamed name meets no other.
        self.prefix = "private"
        while any(name.startswith(self.prefix) for name in used | self.bound | self.modules.keys()):
            self.prefix += "_x"

    def _gather(self, node: ast.AST, used: set[str]) -> None:  # noqa: C901 - one case a kind of node of `_NAMING`
        match node:
            case ast.Name(id=name, ctx=context):
                used.add(name)
                if not isinstance(context, ast.Load):
                    self.bound.add(name)
            case ast.Attribute(attr=name):
                used.add(name)
            case ast.keyword(arg=str(name)):
                used.add(name)
            case ast.arg(arg=name):
                self.parameters.add(name)
                self.bound.add(name)
            case ast.ClassDef(name=name, body=body):
                self.bound.add(name)
                self.parameters.update(_fields(body))
            case ast.FunctionDef(name=name):
                self.bound.add(name)
            case ast.Import(names=names):
                for alias in names:
                    module = alias.name if alias.asname else alias.name.split(".")[0]
                    self.modules.setdefault(alias.asname or module, set()).add(module)
            case ast.ImportFrom(names=names):
                self.bound.update(alias.asname or alias.name for alias in names)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                self.bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                self.bound.add(name)

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
        if node.id in MISSING and node.id not in self.bound | self.modules.keys():
            self.refuse(node, f"{node.id} is not available: {MISSING[node.id]}")
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
        if [keyword.arg for keyword in node.keywords] == ["total"]:
            # Of a TypedDict; a hint like its base.
            node.keywords = []
        if node.keywords:
            self.refuse(node, "class keywords are not available")
        node.name = self.rename(node.name)
        for name in _fields(node.body):
            if self.rename(name).startswith("_"):
                self.refuse(node, f"a field cannot be named {name[:60]}: names like that are the language's own")
        fields: list[ast.expr] = [
            ast.Tuple([ast.Constant(name), ast.Constant(self.rename(name))], ast.Load()) for name in _fields(node.body)
        ]
        self.generic_visit(node)
        if fields:
            # A dataclass is made of its annotations, of which nothing else is left.
            kept = ast.Assign([GuardName(FIELDS, ast.Store())], ast.Tuple(fields, ast.Load()))
            node.body.insert(0, self.at(kept, node))
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
        match node:
            case ast.Attribute(attr="__name__", value=ast.Attribute(attr="__class__", value=value), ctx=ast.Load()):
                return self.at(_guard("_class_name_of_", self.visit(value)), node)
            case ast.Attribute(attr=name, value=ast.Name(id=alias), ctx=ast.Load()):
                self._check_member(node, alias, name)
        self.generic_visit(node)
        node.attr = self.rename(node.attr)
        if node.attr == "__name__" and isinstance(node.ctx, ast.Load):
            return self.at(_guard("_name_of_", node.value), node)
        return node

    def _check_member(self, node: ast.AST, alias: str, name: str) -> None:
        modules = self.modules.get(alias, set()) & FACADES.keys()
        if len(modules) == 1 and alias not in self.bound:
            self._has_member(node, min(modules), name)

    def _has_member(self, node: ast.AST, module: str, name: str) -> bool:
        if name in FACADES[module].members:
            return True
        known = ", ".join(sorted(FACADES[module].members))
        self.refuse(node, f"{module}.{name} is not available; {module} has: {known}"[:TEXT_LIMIT])
        return False

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        """Renames private names."""
        if node.name:
            node.name = self.rename(node.name)
        self.generic_visit(node)
        return node

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        """Renames private names."""
        if node.name:
            node.name = self.rename(node.name)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        """Renames private names."""
        if node.rest:
            node.rest = self.rename(node.rest)
        self.generic_visit(node)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        """A type of plain JSON, with at most a name for the value: anything more would read attributes."""
        match node:
            case ast.MatchClass(cls=ast.Name(id=name), patterns=[] | [_], kwd_patterns=[]) if (
                name in _MATCHED and name not in self.bound | self.modules.keys()
            ):
                self.generic_visit(node)
            case _:
                self.refuse(
                    node, f"a class in a pattern is one of {', '.join(sorted(_MATCHED))}; use if and isinstance"
                )
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
        """`import math` binds the facade of that name, `import urllib.parse` that of the package."""
        bindings = []
        for alias in node.names:
            if not self._is_module(node, alias.name):
                continue
            module = alias.name if alias.asname else alias.name.split(".")[0]
            name = ast.Name(self.rename(alias.asname or module), ast.Store())
            bindings.append(self.at(ast.Assign([name], _guard("_module_", ast.Constant(module))), node))
        return bindings or self.at(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """`from math import floor` binds a member of the facade."""
        if node.module == "__future__" and node.level == 0:
            return self.at(ast.Pass(), node)
        if node.level:
            self.refuse(node, "relative imports are not available")
            return self.at(ast.Pass(), node)
        module = node.module or ""
        bindings = []
        if self._is_module(node, module):
            for alias in node.names:
                if alias.name == "*":
                    self.refuse(node, f"write the names: from {module} import ..., ...")
                elif self._has_member(node, module, alias.name):
                    value = _guard("_member_", ast.Constant(module), ast.Constant(alias.name))
                    name = ast.Name(self.rename(alias.asname or alias.name), ast.Store())
                    bindings.append(self.at(ast.Assign([name], value), node))
        return bindings or self.at(ast.Pass(), node)

    def _is_module(self, node: ast.AST, name: str) -> bool:
        if name in FACADES:
            return True
        instead = MODULES.get(name.split(".", maxsplit=1)[0])
        rest = instead or f"there are: {', '.join(sorted(FACADES))}"
        self.refuse(node, f"module {name[:60]} is not available: {rest}")
        return False
