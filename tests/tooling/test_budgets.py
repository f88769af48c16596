"""The budgets that keep the code readable: lines of a file and of a function, public methods of a class, names of files."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "faena"
MODULES = sorted(PACKAGE.rglob("*.py"))

MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 80
SHAPELESS = {"utils", "util", "common", "misc", "base", "manager", "managers", "helpers", "helper"}


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(path.read_text()) for path in MODULES}


def test_there_is_something_to_check():
    assert len(MODULES) > 50


def test_no_file_is_too_long():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_too_long(trees):
    too_long = {
        f"{name_of(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert too_long == {}


def test_no_module_has_a_name_that_says_nothing():
    assert [name_of(path) for path in MODULES if path.stem in SHAPELESS or path.parent.name in SHAPELESS] == []


def test_nothing_imports_the_root_package(trees):
    """Its names load on demand, for users; inside, that would hide what depends on what. Its version may be asked for."""

    def is_module(name):
        return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()

    found = [
        f"{name_of(path)}:{node.lineno} {alias.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "faena" and node.level == 0
        for alias in node.names
        if alias.name != "__version__" and not is_module(alias.name)
    ]
    assert found == []


def test_sql_stands_in_files_of_its_own(trees):
    """SQL is read as SQL: statements of several lines belong into .sql files."""
    begins = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ")
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.lstrip().startswith(begins) and len(node.value.strip().splitlines()) > 1
    ]
    assert found == []
