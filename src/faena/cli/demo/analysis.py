"""What can be said of one Python module by reading its source. Pure: bytes in, facts out.

Complexity is McCabe's (1976): one, and one more for every place where the path forks: `if`, `elif`, `for`, `while`,
`except`, a conditional expression, each further operand of `and`/`or`, each `for` and `if` of a comprehension, each
`case` but the one that matches everything. A nested function or class counts by itself, not in the function around it.
"""

from __future__ import annotations

import ast
import heapq
import warnings
from collections import Counter

from msgspec import Struct

KEPT_FUNCTIONS = 10
"""How many functions of a module are kept by name, of the longest and of the most complex each: the largest modules
have thousands, and a result should stay small."""

_FORKS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)
_LEAVES = (ast.Constant, ast.Name, ast.expr_context, ast.operator, ast.cmpop)
"""Most nodes are of these kinds and hold nothing of interest; passing them over halves the time."""


class Unparsable(ValueError):
    """A file that is no Python source, or none that this Python understands."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.reason, self.line = reason, line
        super().__init__(reason, line)

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class FunctionFacts(Struct, frozen=True):
    """One function; `name` is qualified within its module, such as `Parser.feed`."""

    name: str
    line: int
    lines: int
    complexity: int


class ModuleFacts(Struct, frozen=True):
    """One module. `complexity` is the sum over its functions; `imports` are the outermost names, sorted."""

    lines: int
    functions: int
    classes: int
    complexity: int
    complexities: dict[int, int]  # complexity -> how many functions have it
    longest: tuple[FunctionFacts, ...]
    most_complex: tuple[FunctionFacts, ...]
    imports: tuple[str, ...]


def analyse_source(source: bytes) -> ModuleFacts:
    """Read one module. Raises Unparsable, whatever is wrong with it."""
    reading = _Reading()
    reading.walk(_parse(source))
    functions = reading.functions()
    return ModuleFacts(
        lines=len(source.splitlines()),
        functions=len(functions),
        classes=reading.classes,
        complexity=sum(each.complexity for each in functions),
        complexities=dict(sorted(Counter(each.complexity for each in functions).items())),
        longest=tuple(heapq.nlargest(KEPT_FUNCTIONS, functions, key=lambda each: each.lines)),
        most_complex=tuple(heapq.nlargest(KEPT_FUNCTIONS, functions, key=lambda each: each.complexity)),
        imports=tuple(sorted(reading.imports)),
    )


def _parse(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file's own author is warned about is not our reader's concern
            return ast.parse(source)
    except SyntaxError as error:
        raise Unparsable(error.msg, error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested deeper than the parser goes
        raise Unparsable(str(error) or type(error).__name__) from error


class _Scope:
    """A module, class or function while its inside is read; `forks` are those of its own code."""

    __slots__ = ("forks", "node", "prefix")

    def __init__(self, node: ast.AST, prefix: str) -> None:
        self.node, self.prefix, self.forks = node, prefix, 0


class _Reading:
    """One walk through one module."""

    def __init__(self) -> None:
        self.classes = 0
        self.imports: set[str] = set()
        self._scopes: list[_Scope] = []

    def walk(self, tree: ast.Module) -> None:
        """Visit every node once. A stack of our own: deep nesting must not meet the interpreter's limit."""
        stack: list[tuple[ast.AST, _Scope]] = [(tree, _Scope(tree, ""))]
        while stack:
            node, scope = stack.pop()
            inner = self._enter(node, scope)
            for field in node._fields:
                value = getattr(node, field, None)
                if isinstance(value, list):
                    stack.extend((each, inner) for each in reversed(value) if isinstance(each, ast.AST))
                elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
                    stack.append((value, inner))

    def functions(self) -> list[FunctionFacts]:
        return [_facts_of(each) for each in self._scopes]

    def _enter(self, node: ast.AST, scope: _Scope) -> _Scope:
        if isinstance(node, _FORKS):
            scope.forks += 1
        elif isinstance(node, ast.BoolOp):
            scope.forks += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            scope.forks += 1 + len(node.ifs)
        elif isinstance(node, ast.match_case):
            scope.forks += not _matches_everything(node)
        elif isinstance(node, ast.Import):
            self.imports.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                self.imports.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ClassDef):
            self.classes += 1
            return _Scope(node, f"{scope.prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope = _Scope(node, f"{scope.prefix}{node.name}.")
            self._scopes.append(scope)
        return scope


def _facts_of(scope: _Scope) -> FunctionFacts:
    node = scope.node
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    first = min((each.lineno for each in node.decorator_list), default=node.lineno)
    last = node.end_lineno or node.lineno
    return FunctionFacts(
        name=scope.prefix.rstrip("."), line=node.lineno, lines=last - first + 1, complexity=scope.forks + 1
    )


def _matches_everything(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
