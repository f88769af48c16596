"""What the analysis says of source, of small pieces and of this Python's own modules."""

from __future__ import annotations

import ast
import bisect
import inspect
import textwrap
from pathlib import Path

import pytest

from faena.cli.demo.analysis import KEPT_FUNCTIONS, FunctionFacts, ModuleFacts, Unparsable, analyse_source


def read(text: str) -> ModuleFacts:
    return analyse_source(textwrap.dedent(text).encode())


def complexity_of(body: str) -> int:
    facts = read("def f(a, b, c):\n" + textwrap.indent(textwrap.dedent(body), "    "))
    return facts.longest[0].complexity


def test_an_empty_module_has_nothing_in_it() -> None:
    assert analyse_source(b"") == ModuleFacts(
        lines=0, functions=0, classes=0, complexity=0, complexities={}, longest=(), most_complex=(), imports=()
    )


def test_functions_are_named_by_where_they_stand_and_decorators_belong_to_them() -> None:
    facts = read(
        """\
        class Outer:
            @property
            def name(self):
                def inner():
                    return 1
                return inner() if self else None
        async def last(): pass
        """
    )
    assert facts == ModuleFacts(
        lines=7,
        functions=3,
        classes=1,
        complexity=4,
        complexities={1: 2, 2: 1},
        longest=(
            FunctionFacts("Outer.name", line=3, lines=5, complexity=2),
            FunctionFacts("Outer.name.inner", line=4, lines=2, complexity=1),
            FunctionFacts("last", line=7, lines=1, complexity=1),
        ),
        most_complex=(
            FunctionFacts("Outer.name", line=3, lines=5, complexity=2),
            FunctionFacts("Outer.name.inner", line=4, lines=2, complexity=1),
            FunctionFacts("last", line=7, lines=1, complexity=1),
        ),
        imports=(),
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a", 1),
        ("if a: b()\nelif b: c()\nelse: a()", 3),
        ("for x in a: b()\nelse: c()", 2),
        ("while a: b()", 2),
        ("async def g():\n    async for x in a: b()\nreturn g", 1),
        ("try: a()\nexcept KeyError: b()\nexcept OSError: c()\nelse: a()\nfinally: b()", 3),
        ("return a and b and c or a", 4),
        ("return b if a else c", 2),
        ("return [x for y in a for x in y if x if b]", 5),
        ("match a:\n    case 1: b()\n    case [x, *_] if x: c()\n    case _: a()", 3),
        ("match a:\n    case x if x: b()\n    case x: c()", 2),
        ("return lambda: a if b else c", 2),
        ("with a: b()", 1),
        ("def g():\n    if a: b()\nreturn g", 1),
        ("class G:\n    x = 1 if a else 2\nreturn G", 1),
    ],
)
def test_complexity_counts_the_forks(body: str, expected: int) -> None:
    assert complexity_of(body) == expected


def test_imports_are_outermost_names_wherever_they_stand_and_relative_ones_are_left_out() -> None:
    facts = read("import os.path, sys as s\nfrom . import x\nfrom .y import z\ndef f():\n    from a.b import c\n")
    assert facts.imports == ("a", "os", "sys")


def test_only_the_largest_functions_are_kept_by_name() -> None:
    facts = read("".join(f"def f{n}():\n" + "    x = 1\n" * n for n in range(1, 31)))
    assert facts.functions == 30
    assert [each.name for each in facts.longest] == [f"f{n}" for n in range(30, 30 - KEPT_FUNCTIONS, -1)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"print 'old'\n", "line 1: Missing parentheses in call to 'print'"),
        (b"# coding: uft-8\n", "unknown encoding: uft-8"),
        (b"x = '\xf6'\n", "codec can't decode byte 0xf6"),
        (b"x = 1\0\n", "null bytes"),
    ],
)
def test_what_is_no_python_says_why(source: bytes, said: str) -> None:
    with pytest.raises(Unparsable) as caught:
        analyse_source(source)
    assert said in str(caught.value)


def test_source_nested_deeper_than_the_parser_goes_is_unparsable_and_nothing_worse() -> None:
    with pytest.raises(Unparsable):
        analyse_source(b"(" * 100_000)


def test_a_long_chain_is_read_without_meeting_the_limit_of_recursion() -> None:
    facts = read("def f(x):\n    return " + "+".join(["x"] * 900) + "\n")
    assert facts.functions == 1


@pytest.mark.parametrize("module", [ast, inspect, textwrap, pytest])
def test_a_real_module_is_counted_as_ast_walk_counts_it(module: object) -> None:
    source = Path(inspect.getfile(module)).read_bytes()  # type: ignore[arg-type]
    nodes = list(ast.walk(ast.parse(source)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    facts = analyse_source(source)
    assert facts.functions == len(functions) == sum(facts.complexities.values())
    assert facts.classes == sum(isinstance(node, ast.ClassDef) for node in nodes)
    assert facts.complexity == sum(value * count for value, count in facts.complexities.items())
    assert facts.lines == len(source.decode().splitlines())
    assert {each.line for each in facts.longest} <= {node.lineno for node in functions}


def test_a_known_function_of_the_standard_library_has_the_complexity_counted_by_hand() -> None:
    facts = analyse_source(Path(bisect.__file__).read_bytes())
    by_name = {each.name: each for each in facts.most_complex}
    assert by_name["bisect_right"].complexity == 8  # lo < 0, hi is None, key is None, twice a while with an if in it
