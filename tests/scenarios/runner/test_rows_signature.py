"""Invoke's behaviour from signature to value, of `@task`, and of order, row by row."""

from __future__ import annotations

import textwrap

import pytest

HEAD = "from invoke import Collection, Executor, Config, call, task\n"


def write(project, body: str) -> None:
    (project.folder / "tasks.py").write_text(HEAD + textwrap.dedent(body))


SHOW = """
import datetime, decimal, enum, pathlib

class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"

@task
def t(c, a, b):
    print(repr(a), repr(b))

@task
def annotated(c, n: int):
    print(repr(n))

@task
def only(c, *, x):
    print(repr(x))

@task
def many(c, *args, **kw):
    print(args, kw)

@task
def s(c, s="x", name="y", none=None):
    print(repr(s), repr(name), repr(none))

@task
def kinds(c, i=1, f=1.5, p=pathlib.Path("a"), d=decimal.Decimal("1"), pair=("a", "b"), things=["z"]):
    print(repr((i, f, p, d, pair, things)))

@task
def flags(c, flag=False, color=True):
    print(flag, color)

@task
def names(c, long_arg_name="", _under="", trailing_=""):
    print(long_arg_name, _under, trailing_)

@task
def x(c, x="", flag=False, flip=False, forty=False):
    print(x, flag, flip, forty)

@task
def multi_word(c):
    print("multi")

@task
def _private_(c):
    print("private")
"""
NUMBER = "expected a whole number"


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("t 1 2", "'1' '2'"),
        ("t -a 1 -b 2", "'1' '2'"),
        ("t 2 -a 1", "'1' '2'"),
        ("t -b 2 1", "'1' '2'"),
        ("t --a 1 --b 2", "'1' '2'"),
        ("t t multi-word", "'t' 'multi-word'"),  # a positional that is missing goes before a task of that name
        ("annotated 3", "3"),
        ("annotated -n 3", "3"),
        ("annotated -3", "-3"),
        ("only --x v", "'v'"),
        ("only -x v", "'v'"),
        ("many a b", "('a', 'b') {}"),
        ("many", "() {}"),
        ("many a --key=v", "('a',) {'key': 'v'}"),
        ("s --name v", "'x' 'v' None"),
        ("s --name=v", "'x' 'v' None"),
        ("s -n v", "'x' 'v' None"),
        ("s -nv", "'x' 'v' None"),
        ("s -n=v", "'x' 'v' None"),
        ("s --name=a=b", "'x' 'a=b' None"),
        ("s -s=", "'' 'y' None"),
        ("s --none v", "'x' 'y' 'v'"),
        ("s -s a -s b", "'b' 'y' None"),
        ("s -s -notaflag", "'-notaflag' 'y' None"),
        ("kinds -i 3 -f 2 -p b/c -d 2.50", "(3, 2.0, PosixPath('b/c'), Decimal('2.50'), ('a', 'b'), ['z'])"),
        ("kinds -i -3", "(-3, 1.5, PosixPath('a'), Decimal('1'), ('a', 'b'), ['z'])"),
        ("kinds --pair x --pair y", "(1, 1.5, PosixPath('a'), Decimal('1'), ('x', 'y'), ['z'])"),
        ("kinds --things a --things b", "(1, 1.5, PosixPath('a'), Decimal('1'), ('a', 'b'), ['a', 'b'])"),
        ("flags", "False True"),
        ("flags --flag", "True True"),
        ("flags -f", "True True"),
        ("flags --flag --no-flag", "False True"),
        ("flags --flag=1", "True True"),
        ("flags --no-color", "False False"),
        ("flags --no-color --color", "False True"),
        ("flags --color --no-color", "False False"),
        ("flags --no-color -c", "False True"),
        ("names --long-arg-name 1 --under 2 --trailing 3", "1 2 3"),
        ("names --long_arg_name 1", "1  "),
        ("x -x v", "v False False False"),
        ("x --x v", "v False False False"),
        ("x -f -l -o", " True True True"),
        ("x -fx v", "v True False False"),
        ("x -flo", " True True True"),
        ("multi-word", "multi"),
        ("multi_word", "multi"),
        ("_private_", "private"),
    ],
)
def test_a_line_gives_the_task_these_values(project, line, out):
    write(project, SHOW)
    found = project.fa(*line.split())
    assert (found.stderr, found.stdout, found.status) == ("", out + "\n", 0)


def test_an_empty_text_is_a_value(project):
    write(project, SHOW)
    assert project.fa("s", "-s", "").stdout == "'' 'y' None\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("t 1", "'t' did not receive required positional arguments: 'b'"),
        ("t", "'t' did not receive required positional arguments: 'a', 'b'"),
        ("t 1 2 3", "No idea what '3' is!"),
        ("annotated x", f"'annotated': -n cannot be 'x': {NUMBER}"),
        ("only", "'only' did not receive required options: '-x'"),
        ("only v", "No idea what 'v' is!"),
        ("kinds -i x", f"'kinds': -i cannot be 'x': {NUMBER}"),
        ("s --name", "'s': option --name needs a value (TEXT)"),
        ("s --name --none", "'s': option --name needs a value (TEXT), but '--none' follows "
         "(write --name=--none if it is the value)"),
        ("flags --flag=maybe", "'flags': --flag cannot be 'maybe': expected yes or no"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_obeyed_is_one_line_and_runs_nothing(project, line, message):
    write(project, SHOW)
    found = project.fa("multi-word", *line.split())
    assert (found.stdout, found.stderr, found.status) == ("", message + "\n", 1)


def test_a_task_without_a_context_is_refused_where_it_is_declared(project):
    write(project, "@task\ndef t():\n    pass\n")
    assert "TypeError: Tasks must have an initial Context argument!" in project.fa("-l").stderr


def test_the_context_may_have_any_name(project):
    write(project, "@task\ndef t(anything, a):\n    print(anything.run('echo hi', hide=True).stdout.strip(), a)\n")
    assert project.fa("t", "x").stdout == "hi x\n"


ANNOTATED = """
import enum, pathlib, typing

class Level(enum.Enum):
    LOW = "low"

@task
def t(c, i: int, f: float, b: bool, p: pathlib.Path, l: typing.Literal["x", "y"], e: Level, n: int | None = None,
      many: list[int] = [], *words: int):
    print(repr((i, f, b, str(p), l, e.name, n, many, words)))
"""


def test_every_annotation_of_the_list_converts(project):
    write(project, ANNOTATED)
    line = "t 1 2.5 -b a/b x low --n 3 --many 4 --many 5 6 7"
    assert project.fa(*line.split()).stdout == "(1, 2.5, True, 'a/b', 'x', 'LOW', 3, [4, 5], (6, 7))\n"
    for wrong in ("t x 2.5 -b a x low", "t 1 x -b a x low", "t 1 2.5 -b a z low", "t 1 2.5 -b a x high"):
        found = project.fa(*wrong.split())
        assert (found.stdout, found.stderr.count("\n"), found.status) == ("", 1, 1)


def test_names_keep_their_underscores_when_asked_to(project):
    write(project, SHOW)
    project.write("invoke.json", '{"tasks": {"auto_dash_names": false}}')
    assert "  multi_word" in project.fa("-l").lines
    assert "  multi-word" not in project.fa("-l").lines
    assert project.fa("multi_word").stdout == "multi\n"
    assert project.fa("multi-word").stdout == "multi\n"  # either way of writing it finds it


# -- @task(...) --------------------------------------------------------------------------------------------

OPTIONS = """
@task()
def bare(c):
    print("bare")

@task
def after(c):
    print("after")

@task(bare, after)
def both(c):
    print("both")

@task(name="clean-up")
def cleaning(c):
    print("cleaned")

@task(aliases=["cl", "wipe_out"])
def clean(c):
    print("clean")

@task(positional=["b"])
def second(c, a=None, b=None):
    print(a, b)

@task(positional=[])
def none(c, a, b):
    print(a, b)

@task(optional=["log", "color"])
def logged(c, log=None, color=False):
    print(repr(log), repr(color))

@task(optional=["log"], positional=["pos"])
def ambiguous(c, pos, log=None):
    print(pos, log)

@task(iterable=["xs"], incrementable=["verbose"])
def repeated(c, xs=("default",), verbose=1):
    print(xs, verbose)

@task(autoprint=True)
def value(c):
    return "the value"

@task(pre=[value])
def user(c):
    print("user")

@task(auto_shortflags=False)
def quiet(c, quick=False):
    print(quick)
"""


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("bare", ["bare"]),
        ("both", ["bare", "after", "both"]),
        ("clean-up", ["cleaned"]),
        ("cl", ["clean"]),
        ("wipe-out", ["clean"]),
        ("second x -a y", ["y x"]),
        ("none -b 2", ["None 2"]),
        ("none", ["None None"]),
        ("logged", ["None False"]),
        ("logged --log", ["True False"]),
        ("logged --log x", ["'x' False"]),
        ("logged --log=x", ["'x' False"]),
        ("logged --color", ["None True"]),
        ("logged --color red", ["None 'red'"]),
        ("logged --log --color", ["True True"]),
        ("repeated", ["[] 1"]),
        ("repeated --xs a --xs b", ["['a', 'b'] 1"]),
        ("repeated --xs=1,2", ["['1,2'] 1"]),
        ("repeated -v -v", ["[] 3"]),
        ("repeated -vv", ["[] 3"]),
        ("value", ["the value"]),
        ("user", ["user"]),
        ("quiet --quick", ["True"]),
    ],
)
def test_options_of_the_decorator_do_what_they_do_in_invoke(project, line, lines):
    write(project, OPTIONS)
    found = project.fa(*line.split())
    assert (found.stderr, found.lines, found.status) == ("", lines, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cleaning", "No idea what 'cleaning' is! Did you mean 'clean'?"),
        ("second", "'second' did not receive required positional arguments: 'b'"),
        ("logged --log bare", "'bare' is ambiguous when given after an optional-value flag"),
        ("ambiguous --log x", "'x' is ambiguous when given after an optional-value flag"),
        ("quiet -q", "No idea what '-q' is for 'quiet'! See: quiet --help"),
    ],
)
def test_options_of_the_decorator_refuse_what_they_refuse_in_invoke(project, line, message):
    write(project, OPTIONS)
    found = project.fa(*line.split())
    assert found.stderr.startswith(message)
    assert (found.stdout, found.status) == ("", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "@task(default=True)\ndef build_it(c): pass\n@task(default=True)\ndef other(c): pass\n",
            "ValueError: 'other' cannot be the default because 'build-it' already is!",
        ),
        ("@task(help={'nope': 'x'})\ndef t(c): pass\n", "Help field was set for param(s) that don't exist: ['nope']"),
        ("@task\ndef a(c): pass\n@task(a, pre=[a])\ndef t(c): pass\n",
         "TypeError: May not give *args and 'pre' kwarg simultaneously!"),
        ("@task(nosuch=1)\ndef t(c): pass\n", "TypeError: task() has no option 'nosuch'"),
    ],
)  # fmt: skip
def test_a_decorator_that_makes_no_sense_is_an_error(project, text, message):
    write(project, text)
    found = project.fa("t")
    assert message in found.stderr
    assert found.status == 1


def test_unknown_help_is_let_pass_when_asked_to(project):
    write(project, "@task(help={'nope': 'x'})\ndef t(c): print('ran')\n")
    assert project.fa("t", env={"INVOKE_TASKS_IGNORE_UNKNOWN_HELP": "1"}).stdout == "ran\n"


def test_help_goes_by_python_or_dashed_name(project):
    write(project, "@task(help={'long-name': 'One.', 'other_name': 'Two.'})\ndef t(c, long_name='', other_name=''): pass\n")
    found = project.fa("t", "--help").stdout
    assert "One." in found
    assert "Two." in found


def test_another_class_makes_the_task(project):
    write(
        project,
        """
        from invoke import Task

        class Own(Task):
            def __call__(self, c, *args, **kwargs):
                print("own class")
                return super().__call__(c, *args, **kwargs)

        @task(klass=Own)
        def t(c):
            print("body", type(t).__name__)

        @task
        def caller(c):
            t(c)
        """,
    )
    assert project.fa("caller").lines == ["own class", "body Own"]


def test_the_decorated_name_is_a_task(project):
    write(
        project,
        """
        ran = []

        @task
        def first(c):
            ran.append("first")

        @task(pre=[first], post=[first], aliases=["al"], default=True, help={"x": "X."})
        def build(c, x=0):
            "Doc."
            ran.append(x)
            return x

        @task
        def show(c):
            print(build.name, list(build.aliases), build.body.__name__, build.pre == [first], build.post == [first])
            print(dict(build.help), build.is_default, build.__doc__, build.called, build.times_called)
            print(build(c, x=1), ran, build.called, build.times_called)
            for args in (("text",), ()):
                try:
                    build(*args)
                except TypeError as error:
                    print(error)
        """,
    )
    assert project.fa("show").lines == [
        "build ['al'] build True True",
        "{'x': 'X.'} True Doc. False 0",
        "1 [1] True 1",
        "Task expected a Context as its first arg, got <class 'str'> instead!",
        "Task expected a Context as its first arg, got nothing instead!",
    ]


# -- order -------------------------------------------------------------------------------------------------


def test_calls_are_equal_only_when_written_alike(project):
    write(
        project,
        """
        @task
        def a(c, x=0):
            print("a", x)

        @task(pre=[call(a, 1), call(a, x=1), call(a, 1)])
        def t(c):
            print("t")
        """,
    )
    assert project.fa("t").lines == ["a 1", "a 1", "t"]


def test_a_failure_ends_the_run_at_once_and_nothing_runs_before_all_is_read(project):
    write(
        project,
        """
        @task
        def after(c):
            print("after")

        @task(post=[after])
        def bad(c):
            print("bad")
            raise ValueError("no")

        @task
        def later(c):
            print("later")
        """,
    )
    assert project.fa("bad", "later").lines == ["bad"]
    assert project.fa("later", "nosuch").lines == []


def test_arguments_of_a_task_are_not_handed_to_its_pre_tasks(project):
    write(
        project,
        """
        @task
        def first(c, x="own"):
            print("first", x)

        @task(pre=[first])
        def t(c, x=""):
            print("t", x)
        """,
    )
    assert project.fa("t", "-x", "given").lines == ["first own", "t given"]


def test_the_executor_gives_values_by_task_the_last_of_each(project):
    write(
        project,
        """
        @task
        def a(c, x=0):
            return x

        @task(pre=[a])
        def b(c):
            return "b"

        @task
        def t(c):
            found = Executor(Collection(a, b), Config()).execute("b", ("a", {"x": 5}))
            print({each.name: value for each, value in found.items()})
        """,
    )
    assert project.fa("t").stdout == "{'a': 5, 'b': 'b'}\n"


def test_the_variable_for_deduplication_has_an_effect(project):
    write(project, "@task\ndef a(c): print('a')\n@task(a, a)\ndef b(c): print('b')\n")
    assert project.fa("b").lines == ["a", "b"]
    assert project.fa("b", env={"INVOKE_TASKS_DEDUPE": "0"}).lines == ["a", "a", "b"]
    project.write("invoke.json", '{"tasks": {"dedupe": false}}')
    assert project.fa("b").lines == ["a", "a", "b"]
    assert project.fa("b", env={"INVOKE_TASKS_DEDUPE": "1"}).lines == ["a", "b"]
