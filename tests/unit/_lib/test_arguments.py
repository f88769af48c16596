"""The parser that `fa` and `faena` share: from a signature to values."""

from __future__ import annotations

import datetime
import enum
import functools
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

import pytest

from faena._lib.arguments import (
    Argument,
    CommandGroup,
    Option,
    command_from,
    parse,
    parse_group,
    render_command,
    render_group,
)
from faena._lib.arguments.convert import to_seconds
from faena._lib.arguments.docstring import read_docstring
from faena.errors import (
    AmbiguousValue,
    InvalidValue,
    MissingArguments,
    MissingValue,
    UnexpectedArgument,
    UnknownCommand,
    UnknownOption,
)


class Color(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


UserId = NewType("UserId", int)


def called(function: Any, line: str | list[str], **hints: Any) -> Any:
    """Call `function` with what the line says."""
    argv = line.split() if isinstance(line, str) else line
    parsed = parse(command_from(function, **hints), argv)
    return function(*parsed.args, **parsed.kwargs)


def given(function: Any, line: str | list[str], **hints: Any) -> dict[str, Any]:
    argv = line.split() if isinstance(line, str) else line
    return parse(command_from(function, **hints), argv).values


# -- shapes ------------------------------------------------------------------------------------------------


def test_positionals_are_taken_in_order_and_converted_by_annotation():
    def move(source: Path, times: int, factor: float) -> Any:
        return source, times, factor

    assert called(move, "a/b 3 1.5") == (Path("a/b"), 3, 1.5)


def test_positionals_may_be_given_by_flag_and_mixed_when_asked_for():
    def t(a, b):
        return a, b

    hints = {"positional_by_flag": True, "auto_short": True}
    assert called(t, "2 -a 1", **hints) == ("1", "2")
    assert called(t, "-a 1 -b 2", **hints) == ("1", "2")
    assert called(t, "--b=2 1", **hints) == ("1", "2")
    with pytest.raises(UnexpectedArgument):
        called(t, "1 2 -a 3", **hints)


def test_a_variadic_leaves_words_for_the_required_positionals_after_it():
    def copy(files: list[str], target: str):
        return files, target

    assert called(copy, "a b c") == (["a", "b"], "c")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (["--name", "v"], "v"),
        (["--name=v"], "v"),
        (["-n", "v"], "v"),
        (["-nv"], "v"),
        (["-n=v"], "v"),
        (["--name=a=b"], "a=b"),
        (["-n", ""], ""),
        (["-n="], ""),
        (["--name", "a", "--name", "b"], "b"),
        (["-n", "-3"], "-3"),
        (["-n", "-unknown"], "-unknown"),
        (["--name=--name"], "--name"),
    ],
)
def test_an_option_takes_its_value_in_every_spelling(line, value):
    def t(name="x"):
        return name

    assert called(t, line, auto_short=True) == value


def test_letters_are_joined_and_the_last_one_takes_the_value():
    def t(flag=False, verbose=False, name="x"):
        return flag, verbose, name

    assert called(t, "-fvn foo", auto_short=True) == (True, True, "foo")
    assert called(t, "-fnfoo", auto_short=True) == (True, False, "foo")


def test_a_switch_has_both_forms_and_the_last_one_wins():
    def t(color=True, flag=False):
        return color, flag

    assert called(t, "--no-color --flag") == (False, True)
    assert called(t, "--no-color --color --flag --no-flag") == (True, False)
    assert called(t, "--flag=yes --color=off") == (False, True)


def test_underscores_do_for_dashes():
    def t(long_name="", _under="", flag_too=False):
        return long_name, _under, flag_too

    assert called(t, "--long_name a --under b --flag_too") == ("a", "b", True)


def test_a_one_letter_name_has_a_long_form_too():
    def t(x=0):
        return x

    assert called(t, "--x 4") == 4
    assert called(t, "-x4") == 4


def test_short_letters_go_to_whoever_comes_first_and_never_take_a_parameters_own_name():
    def t(flag=False, flip=False, forty=False, l=False):  # noqa: E741
        pass

    spec = command_from(t, auto_short=True)
    assert {each.name: each.spellings for each in spec.parameters} == {
        "flag": ("--flag", "-f"),
        "flip": ("--flip", "-i"),
        "forty": ("--forty", "-o"),
        "l": ("-l", "--l"),
    }


def test_variadics_take_every_further_word_and_keep_the_positionals_before_them():
    def t(first: int, *rest: int, sep: str = ","):
        return first, rest, sep

    assert called(t, "1 2 3 --sep=;") == (1, (2, 3), ";")
    assert called(t, "1") == (1, (), ",")


def test_keyword_variadics_collect_undeclared_options():
    def t(a=1, **rest):
        return a, rest

    assert called(t, "--a 2 --other-name=x --on") == (2, {"other_name": "x", "on": True})


def test_a_keyword_only_parameter_without_default_is_a_required_option():
    def t(*, target: str):
        return target

    assert called(t, "--target x") == "x"
    with pytest.raises(MissingArguments, match="'t' did not receive required options: '--target'"):
        called(t, "")


def test_counts_lists_pairs_and_commas():
    def t(
        verbose: Annotated[int, Option("-v", count=True)] = 0,
        item: list[int] = [],  # noqa: B006
        define: dict[str, int] = {},  # noqa: B006
        queues: Annotated[list[str], Option("-Q", "--queues", comma=True)] = (),  # type: ignore[assignment]
        pair: tuple[int, str] = (0, ""),
        many: tuple[float, ...] = (),
    ):
        return verbose, item, define, list(queues), pair, many

    line = "-vvv --item 1 --item 2 --define a=1 --define b=2 -Q x,y --queues z --pair 7,q --many 1 --many 2"
    assert called(t, line) == (3, [1, 2], {"a": 1, "b": 2}, ["x", "y", "z"], (7, "q"), (1.0, 2.0))
    assert called(t, "") == (0, [], {}, [], (0, ""), ())


def test_a_list_without_default_takes_one_or_more_words():
    def t(paths: list[Path]):
        return paths

    assert called(t, "a b") == [Path("a"), Path("b")]
    with pytest.raises(MissingArguments):
        called(t, "")


def test_an_optional_value_may_be_left_out():
    def t(log=None, name="x"):
        return log, name

    hints = {"optional_values": ("log",)}
    assert called(t, "--log", **hints) == (True, "x")
    assert called(t, "--log a.txt", **hints) == ("a.txt", "x")
    assert called(t, "--log --name y", **hints) == (True, "y")
    spec = command_from(t, **hints)
    with pytest.raises(AmbiguousValue, match="'build' is ambiguous when given after an optional-value flag"):
        parse(spec, ["--log", "build"], is_command=lambda word: word == "build")


# -- types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "-3", -3),
        (float, "1e3", 1000.0),
        (bool, "yes", True),
        (Path, "a", Path("a")),
        (Decimal, "1.10", Decimal("1.10")),
        (Color, "dark-blue", Color.DARK_BLUE),
        (Color, "DARK_BLUE", Color.DARK_BLUE),
        (Level, "high", Level.HIGH),
        (Level, "2", Level.HIGH),
        (Literal["a", 2], "2", 2),
        (Optional[int], "4", 4),  # noqa: UP045
        (int | None, "4", 4),
        (int | str, "4", 4),
        (int | str, "four", "four"),
        (UserId, "5", 5),
        (datetime.date, "2026-11-22", datetime.date(2026, 11, 22)),
        (datetime.datetime, "2026-11-22T10:00", datetime.datetime(2026, 11, 22, 10)),
        (datetime.timedelta, "1h30m", datetime.timedelta(minutes=90)),
        (datetime.timedelta, "45", datetime.timedelta(seconds=45)),
        (bytes, "é", "é".encode()),
        (Any, "x", "x"),
        ("int", "4", 4),
        ("NotToBeFound", "x", "x"),
    ],
)
def test_annotations_convert(annotation, text, value):
    def t(x):
        return x

    t.__annotations__["x"] = annotation
    assert called(t, [text]) == value


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        (1, "2", 2),
        (1.5, "2", 2.0),
        (Path(), "a", Path("a")),
        (None, "a", "a"),
        ("", "a", "a"),
        (Color.RED, "dark-blue", Color.DARK_BLUE),
    ],
)
def test_the_default_says_the_type_where_no_annotation_does(default, text, value):
    def t(x=default):
        return x

    assert called(t, ["-x", text]) == value


def test_a_type_of_ones_own_has_its_own_converter():
    class Size:
        def __init__(self, value: int) -> None:
            self.value = value

    def t(size: Size):
        return size

    t.__annotations__["size"] = Size
    read = called(t, "2k", converters={Size: lambda text: Size(int(text.rstrip("k")) * 1024)})
    assert read.value == 2048


@pytest.mark.parametrize(
    ("annotation", "text", "message"),
    [
        (int, "x", "'t': x cannot be 'x': expected a whole number"),
        (float, "x", "'t': x cannot be 'x': expected a number"),
        (bool, "x", "'t': x cannot be 'x': expected yes or no"),
        (Color, "rod", "'t': x cannot be 'rod': expected one of red, dark-blue; did you mean 'red'?"),
        (Literal["a", "b"], "c", "'t': x cannot be 'c': expected one of a, b"),
        (datetime.date, "today", "'t': x cannot be 'today': expected a date as YYYY-MM-DD"),
        (dict, "x", "'t': x cannot be 'x': expected KEY=VALUE"),
        (tuple[int, int], "1", "'t': x cannot be '1': expected 2 values with commas between them"),
    ],
)
def test_a_text_that_says_no_value_is_a_usage_error(annotation, text, message):
    def t(x):
        return x

    t.__annotations__["x"] = annotation
    with pytest.raises(InvalidValue) as caught:
        called(t, [text])
    assert str(caught.value) == message


@pytest.mark.parametrize("line", ["-n many", "-nmany", "-n=many", "--number many", "--number=many", "--count_of many"])
@pytest.mark.parametrize("kind", [int, list[int]])
def test_a_wrong_value_is_told_of_under_the_spelling_that_the_line_has(line, kind):
    def t(*, number):
        return number

    t.__annotations__["number"] = Annotated[kind, Option("-n", "--number", "--count-of")]
    with pytest.raises(InvalidValue) as caught:
        called(t, line)
    spelling = line.replace("-nmany", "-n").replace("=", " ").split()[0]
    assert str(caught.value) == f"'t': {spelling} cannot be 'many': expected a whole number"


@pytest.mark.parametrize("text", ["", "x", "-1", "1.2.3", "²", "nan", "inf", "5 m x", "1001000w"])
def test_what_is_no_duration_is_refused_with_words_for_people(text):
    with pytest.raises(ValueError, match=r"^a duration "):
        to_seconds(text)


# -- errors ------------------------------------------------------------------------------------------------


def test_an_unknown_option_names_the_nearest_one():
    def build(flag=False):
        return flag

    with pytest.raises(UnknownOption) as caught:
        called(build, "--flga")
    assert str(caught.value) == "No idea what '--flga' is for 'build'! Did you mean '--flag'?"


def test_a_missing_value_says_what_followed_instead():
    def build(name="", flag=False):
        return name

    with pytest.raises(MissingValue) as caught:
        called(build, "--name --flag")
    assert str(caught.value) == (
        "'build': option --name needs a value (TEXT), but '--flag' follows (write --name=--flag if it is the value)"
    )
    with pytest.raises(MissingValue, match="option --name needs a value"):
        called(build, "--name")


def test_missing_positionals_and_words_too_many_are_named():
    def t(a, b):
        return a

    with pytest.raises(MissingArguments, match="'t' did not receive required positional arguments: 'b'"):
        called(t, "1")
    with pytest.raises(UnexpectedArgument, match="'t' takes no further argument: '3'"):
        called(t, "1 2 3")


def test_two_parameters_of_one_spelling_are_refused_when_the_command_is_made():
    def t(a: Annotated[int, Option("-x")] = 1, b: Annotated[int, Option("-x")] = 2):
        return a

    with pytest.raises(TypeError, match="'a' and 'b' are both spelled -x"):
        command_from(t)


# -- several commands, help, `--` --------------------------------------------------------------------------


def test_help_is_never_a_value_and_does_not_ask_for_what_is_missing():
    def t(a, b):
        return a

    assert parse(command_from(t), ["--help"]).is_help_asked
    assert parse(command_from(t), ["1", "-h"]).is_help_asked


def test_a_word_that_nobody_wants_ends_the_reading_when_told_so():
    def t(a, flag=False):
        return a

    parsed = parse(command_from(t), ["one", "--flag", "next", "--flag"], stop_at_word=True)
    assert (parsed.values, parsed.index) == ({"a": "one", "flag": True}, 2)


def test_options_of_the_tool_stand_anywhere_and_the_commands_own_win():
    def tool(echo=False, name="", dry=False):
        pass

    def t(a, name="x"):
        return a

    parsed = parse(command_from(t), ["--dry", "-e", "v", "--name", "own"], outer=command_from(tool, auto_short=True))
    assert parsed.values == {"a": "v", "name": "own"}
    assert parsed.outer == {"dry": True, "echo": True}


def test_what_stands_after_two_dashes_is_kept_apart_or_given_to_positionals():
    def t(a=None, *words):
        return a, words

    parsed = parse(command_from(t), ["--a", "1", "--", "-x", "b c"], stop_at_word=True)
    assert parsed.rest == ("-x", "b c")
    assert parsed.values == {"a": "1"}
    assert called(t, ["--a", "1", "--", "-x", "b c"]) == ("1", ("-x", "b c"))


def tool_group() -> CommandGroup:
    def requeue(ids: Annotated[list[str], Argument("Ids of tasks.", metavar="ID")], json: bool = False):
        """Send dead letters again."""

    def listing(queue: str = "default"):
        """Show dead letters."""

    dead = CommandGroup("dead", {"requeue": command_from(requeue), "list": command_from(listing)}, summary="Dead letters.")
    return CommandGroup("faena", {"dead": dead}, summary="Tasks.")


def test_nested_commands_are_found_with_options_of_the_tool_anywhere():
    def options(
        app: Annotated[str, Option("-A", "--app")] = "",
        loglevel: Annotated[str, Option("-l", "--loglevel")] = "info",
    ):
        pass

    outer = command_from(options)
    parsed, command = parse_group(
        tool_group(), ["-A", "shop", "dead", "requeue", "-l", "debug", "a", "b", "--json"], outer=outer
    )
    assert parsed.path == ("dead", "requeue")
    assert parsed.values == {"ids": ["a", "b"], "json": True}
    assert parsed.outer == {"app": "shop", "loglevel": "debug"}
    assert command.name == "requeue"


def test_an_unknown_nested_command_names_the_nearest_one():
    with pytest.raises(UnknownCommand) as caught:
        parse_group(tool_group(), ["dead", "reque"])
    assert str(caught.value) == "No idea what 'reque' of 'dead' is! Did you mean 'requeue'?"


def test_help_of_a_group_is_asked_for_by_naming_no_command():
    parsed, group = parse_group(tool_group(), ["dead", "--help"])
    assert (parsed.is_help_asked, group.name, parsed.path) == (True, "dead", ("dead",))
    assert render_group(group, "faena dead", 60) == (
        "Usage: faena dead COMMAND [...]\n\n"
        "Dead letters.\n\n"
        "Commands:\n"
        "  requeue  Send dead letters again.\n"
        "  list     Show dead letters.\n\n"
        "Help of one command: faena dead COMMAND --help\n"
    )


# -- help --------------------------------------------------------------------------------------------------


def test_help_shows_arguments_options_defaults_and_choices_at_the_width_given():
    def build(
        target: Annotated[Path, Argument("What to build.")],
        *extra: str,
        jobs: Annotated[int, Option("-j", "--jobs", metavar="N", help="How many commands run at the same time.")] = 4,
        color: bool = True,
        mode: Literal["fast", "small"] = "fast",
        log: Annotated[str, Option("--log", optional_value=True)] = "",
    ):
        """Build a target.

        And tell about it.

        Args:
            mode: How to
                optimise.
        """

    assert render_command(command_from(build), "fa build", 60) == (
        "Usage: fa build [options] TARGET [EXTRA...]\n\n"
        "Build a target.\n\nAnd tell about it.\n\n"
        "Arguments:\n"
        "  TARGET    What to build.\n"
        "  EXTRA...\n\n"
        "Options:\n"
        "  -j, --jobs=N       How many commands run at the same time.\n"
        "                     (default: 4)\n"
        "  --[no-]color\n"
        "  --mode=fast|small  How to optimise. (default: fast)\n"
        "  --log[=TEXT]\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Sum.\n\n    Args:\n        a (int): First\n            one.\n        *b: Second.\n\n    Tail.",
        "Sum.\n\n    :param int a: First\n        one.\n    :param b: Second.\n\n    Tail.",
        (
            "Sum.\n\n    Parameters\n    ----------\n    a : int\n        First\n"
            "        one.\n    b\n        Second.\n\n    Notes\n    -----\n    Tail."
        ),
    ],
)
def test_three_ways_of_writing_parameters_down_are_read(text):
    summary, description, found = read_docstring(text)
    assert summary == "Sum."
    assert description.endswith("Tail.")
    assert found == {"a": "First one.", "b": "Second."}


# -- callables ---------------------------------------------------------------------------------------------


def test_wrapped_functions_methods_and_partials_show_the_signature_behind_them():
    def real(a: int, b: int = 2):
        return a, b

    @functools.wraps(real)
    def wrapper(*args, **kwargs):
        return real(*args, **kwargs)

    class Owner:
        def method(self, a: int):
            return a

        def __call__(self, a: int):
            return a

        __name__ = "owner"

    assert called(wrapper, "1 --b 3") == (1, 3)
    assert called(Owner().method, "1") == 1
    assert called(Owner(), "1") == 1
    partial = functools.partial(real, b=5)
    assert called(partial, "1", name="partial") == (1, 5)


def test_importing_the_parser_loads_nothing_that_is_slow():
    slow = "{'inspect', 'typing', 'argparse', 'dataclasses', 'enum', 'asyncio', 're', 'collections'}"
    program = f"import sys; import faena._lib.arguments; print(sorted({slow} & set(sys.modules)))"
    # -S: what `site` loads in this environment is no doing of ours
    paths = repr([each for each in sys.path if each])
    program = f"import sys; sys.path[:0] = {paths}; " + program
    found = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout == "[]\n"
