"""From a task's definition to its values: each way of writing it that task files use, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from faena._lib.arguments import parse
from faena.errors import (
    AmbiguousValue,
    InvalidValue,
    MissingArguments,
    MissingValue,
    UnknownOption,
)
from faena.runner.options import fa_options
from faena.runner.task import Task, task

ABSENT = object()


def read(declared: Task, line: str | list[str], **more):
    words = line.split() if isinstance(line, str) else line
    more.setdefault("stop_at_word", True)
    parsed = parse(declared.command("t"), words, outer=fa_options(), **more)
    got = declared.body(None, *parsed.args, **parsed.kwargs)
    return got if parsed.index == len(words) else (got, words[parsed.index :])


@task
def two(c, a, b):
    return a, b


@task
def options(c, name="x", none=None, number=1, ratio=1.5, path=Path(), flag=False, color=True):
    return name, none, number, ratio, path, flag, color


DEFAULTS = ("x", None, 1, 1.5, Path(), False, True)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("1 2", ("1", "2")),
        ("-a 1 -b 2", ("1", "2")),
        ("--a 1 --b 2", ("1", "2")),
        ("2 -a 1", ("1", "2")),
        ("-b 2 1", ("1", "2")),
        ("-5 -6", ("-5", "-6")),
        ("1 2 3", (("1", "2"), ["3"])),
    ],
)
def test_positionals_stand_in_order_or_by_flag_and_a_further_word_is_the_next_task(line, values):
    assert read(two, line) == values


def test_missing_positionals_are_named():
    with pytest.raises(MissingArguments, match="'t' did not receive required positional arguments: 'b'"):
        read(two, "1")


@pytest.mark.parametrize(
    ("line", "place", "value"),
    [
        (["--name", "v"], 0, "v"),
        (["--name=v"], 0, "v"),
        (["-n", "v"], 0, "v"),
        (["-nv"], 0, "v"),
        (["-n=v"], 0, "v"),
        (["--name=a=b"], 0, "a=b"),
        (["-n", ""], 0, ""),
        (["-n="], 0, ""),
        (["-n", "a", "-n", "b"], 0, "b"),
        (["--none", "v"], 1, "v"),
        (["-o", "v"], 1, "v"),
        (["--number", "-3"], 2, -3),
        (["-u", "-3"], 2, -3),
        (["--ratio=2"], 3, 2.0),
        (["--path", "a/b"], 4, Path("a/b")),
        (["--flag"], 5, True),
        (["-f"], 5, True),
        (["--flag", "--no-flag"], 5, False),
        (["--no-color"], 6, False),
        (["--no-color", "--color"], 6, True),
        (["--no-color", "-c"], 6, True),
    ],
)
def test_options_take_their_values_in_every_spelling(line, place, value):
    wanted = list(DEFAULTS)
    wanted[place] = value
    assert read(options, line) == tuple(wanted)


def test_letters_are_joined():
    assert read(options, ["-fn", "foo"]) == ("foo", *DEFAULTS[1:5], True, True)


@pytest.mark.parametrize("line", ["--name --flag", "--name", "-n -f"])
def test_a_flag_is_no_value(line):
    with pytest.raises(MissingValue):
        read(options, line)


def test_a_text_that_is_no_number_is_a_usage_error():
    with pytest.raises(InvalidValue, match="'t': --number cannot be 'x': expected a whole number"):
        read(options, "--number x")


def test_the_tools_own_flags_are_taken_after_a_task_and_unknown_ones_refused():
    assert read(options, "--echo -k") == DEFAULTS
    with pytest.raises(UnknownOption, match="Did you mean '--number'"):
        read(options, "--numbr 1")


def test_underscores_become_dashes_and_outer_ones_go():
    @task
    def t(c, long_arg_name="", _under="", trailing_=""):
        return long_arg_name, _under, trailing_

    assert read(t, "--long-arg-name 1 --under 2 --trailing 3") == ("1", "2", "3")
    assert read(t, "--long_arg_name 1") == ("1", "", "")


def test_short_letters_go_in_order_and_none_when_switched_off():
    @task
    def t(c, flag=False, flip=False, forty=False):
        return flag, flip, forty

    assert read(t, "-f -l -o") == (True, True, True)

    @task(auto_shortflags=False)
    def none(c, quick=False):
        return quick

    with pytest.raises(UnknownOption):
        read(none, "-q")


def test_annotations_convert_and_keyword_only_is_required():
    @task
    def t(c, n: int, *more: float, key: str):
        return n, more, key

    assert read(t, "3 1.5 2 --key v") == (3, (1.5, 2.0), "v")
    with pytest.raises(MissingArguments, match="required options: '--key'"):
        read(t, "3")


@pytest.mark.parametrize(
    ("line", "value"),
    [("", []), ("--item a --item b", ["a", "b"]), ("-i a -i b", ["a", "b"]), ("--item=1,2", ["1,2"])],
)
def test_iterable_collects_and_ignores_its_default(line, value):
    @task(iterable=["item"])
    def t(c, item=("default",)):
        return item

    assert list(read(t, line)) == value


def test_a_list_default_collects_without_being_told():
    @task
    def t(c, item=[]):  # noqa: B006
        return item

    assert read(t, "--item a --item b") == ["a", "b"]


def test_incrementable_counts_from_its_default():
    @task(incrementable=["verbose"])
    def t(c, verbose=1):
        return verbose

    assert [read(t, line) for line in ("", "-v", "-vv", "-v -v -v")] == [1, 2, 3, 4]


def test_optional_values_may_be_left_out():
    @task(optional=["log"])
    def t(c, log=None, flag=False):
        return log

    assert [read(t, line) for line in ("", "--log", "--log x", "--log=x", "--log --flag")] == [None, True, "x", "x", True]
    with pytest.raises(AmbiguousValue, match="'build' is ambiguous when given after an optional-value flag"):
        read(t, "--log build", is_command=lambda word: word == "build")


def test_positional_says_exactly_what_is():
    @task(positional=["b"])
    def t(c, a=None, b=None):
        return a, b

    assert read(t, "1 -a 2") == ("2", "1")
    with pytest.raises(MissingArguments):
        read(t, "-a 2")

    @task(positional=[])
    def none(c, a, b):
        return a, b

    assert read(none, "-a 1") == ("1", None)


def test_help_is_by_python_or_dashed_name():
    @task(help={"long-name": "one", "other": "two"})
    def t(c, long_name="", other=""):
        pass

    assert [each.help for each in t.command("t").parameters] == ["one", "two"]
