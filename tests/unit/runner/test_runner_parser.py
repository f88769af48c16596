"""Invoke's parser as objects: what programs built on it use."""

from __future__ import annotations

import pytest

from faena.errors import MissingArguments, MissingValue, UnknownCommand, UnknownOption
from faena.runner.collection import Collection
from faena.runner.parser import Argument, Parser, ParserContext
from faena.runner.task import task


def context() -> ParserContext:
    return ParserContext(
        "build",
        aliases=("b",),
        args=[
            Argument(names=("name", "n"), default="x", help="A name."),
            Argument(names=("flag", "f"), kind=bool, default=False),
            Argument(names=("color", "c"), kind=bool, default=True),
            Argument(names=("pos", "p"), positional=True),
            Argument(names=("opt", "o"), optional=True),
            Argument(names=("verbose", "v"), kind=int, incrementable=True, default=0),
            Argument(names=("item", "i"), kind=list),
            Argument("long-name", kind=int, default=3, attr_name="long_name"),
        ],
    )


def parser(**more) -> Parser:
    return Parser(
        [context()], initial=ParserContext(args=[Argument(names=("echo", "e"), kind=bool, default=False)]), **more
    )


def test_a_line_is_read_into_contexts_with_their_values():
    words = "--echo b p --name=z --flag --no-color -vv -i 1 --item 2 --opt --long-name 7 -- rest x"
    line = words.split()
    core, build = result = parser().parse_argv(line)
    assert core.as_kwargs == {"echo": True}
    assert (build.name, build.aliases) == ("build", ("b",))
    assert build.as_kwargs == {
        "name": "z", "flag": True, "color": False, "pos": "p", "opt": True, "verbose": 2, "item": ["1", "2"],
        "long_name": 7,
    }  # fmt: skip
    assert (result.remainder, result.unparsed) == ("rest x", [])
    assert [each.got_value for each in (build.args["name"], build.args["item"])] == [True, True]


def test_reading_leaves_the_contexts_of_the_parser_as_they_were():
    own = context()
    read = Parser([own])
    assert [each.as_kwargs["name"] for each in read.parse_argv(["build", "p", "-n", "a", "build", "p"])] == ["a", "x"]
    assert own.args["name"].got_value is False


def test_core_flags_may_follow_a_task():
    core, _ = parser().parse_argv(["build", "p", "--echo"])
    assert core.args["echo"].value is True


@pytest.mark.parametrize(
    ("line", "error", "where"),
    [
        ("nosuch", UnknownCommand, None),
        ("build", MissingArguments, "build"),
        ("build p --nope", UnknownOption, "build"),
        ("build p --help", UnknownOption, "build"),
        ("build p --name", MissingValue, "build"),
        ("--nope", UnknownOption, None),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_context(line, error, where):
    with pytest.raises(error) as caught:
        parser().parse_argv(line.split())
    assert caught.value.context.name == where


def test_what_is_unknown_may_be_left_for_somebody_else():
    result = parser(ignore_unknown=True).parse_argv(["--echo", "foo", "--bar"])
    assert (len(result), result.unparsed) == (1, ["foo", "--bar"])
    result = parser(ignore_unknown=True).parse_argv(["--echo", "--bar", "build"])
    assert (result[0].as_kwargs, result.unparsed) == ({"echo": True}, ["--bar", "build"])


def test_a_context_tells_about_its_arguments():
    build = context()
    assert repr(ParserContext("t", ("u",), [Argument("a")])) == "<parser/Context 't' (u): {'a': <Argument: a>}>"
    assert build.flag_names() == (
        "-c", "--color", "-f", "--flag", "-i", "--item", "--long-name", "-n", "--name", "-o", "--opt", "-p", "--pos",
        "-v", "--verbose", "--no-color",
    )  # fmt: skip
    assert build.names_for("--name") == ["-n", "--name"]
    assert build.inverse_flags == {"--no-color": "--color"}
    assert build.help_for("--name") == ("-n STRING, --name=STRING", "A name.")
    assert dict(build.help_tuples()) == {
        "-c, --[no-]color": "",
        "-f, --flag": "",
        "-i, --item": "",
        "--long-name=INT": "",
        "-n STRING, --name=STRING": "A name.",
        "-o [STRING], --opt[=STRING]": "",
        "-p STRING, --pos=STRING": "",
        "-v, --verbose": "",
    }
    assert [each.name for each in build.positional_args] == [each.name for each in build.missing_positional_args] == ["pos"]
    with pytest.raises(ValueError, match="'--nope' is not a valid flag for this context"):
        build.help_for("--nope")
    with pytest.raises(ValueError, match="Tried to add an argument named 'name' but one already exists!"):
        build.add_arg("name")


def test_an_argument_takes_values_of_its_kind():
    number = Argument("n", kind=int, default=1)
    assert (number.value, number.raw_value, number.got_value) == (1, None, False)
    number.value = "3"
    assert (number.value, number.raw_value, number.got_value) == (3, "3", True)
    with pytest.raises(ValueError, match="invalid literal"):
        number.value = "z"
    items = Argument("items", kind=list)
    items.value = "a"
    items.value = "b"
    assert (items.value, items.got_value) == (["a", "b"], True)
    count = Argument("verbose", kind=int, incrementable=True, default=1)
    count.value = True
    assert count.value == 2
    assert repr(Argument(names=("name", "n"), kind=int, positional=True, optional=True)) == "<Argument: name (n) [int] * ?>"
    assert [Argument("x").takes_value, Argument("x", kind=bool).takes_value, count.takes_value] == [True, False, False]
    with pytest.raises(TypeError, match="An Argument must have at least one name"):
        Argument()
    with pytest.raises(TypeError, match="either a name or names"):
        Argument("a", names=("b",))


def test_contexts_need_names_of_their_own():
    with pytest.raises(ValueError, match="Non-initial contexts must have names"):
        Parser([ParserContext()])
    with pytest.raises(ValueError, match="A context named/aliased 'b' is already in this parser!"):
        Parser([context(), ParserContext("b")])


def test_tasks_and_collections_give_their_arguments_and_contexts():
    @task(aliases=["bb"], optional=["log"], iterable=["item"], incrementable=["verbose"], help={"name": "A name."})
    def build_it(c, pos, name="x", flag=False, log=None, item=None, verbose=0):
        """Build."""

    found = {each.name: each for each in build_it.get_arguments()}
    assert list(found) == ["pos", "name", "flag", "log", "item", "verbose"]
    assert (found["pos"].positional, found["flag"].kind, found["log"].optional) == (True, bool, True)
    assert (found["item"].kind, found["verbose"].incrementable, found["name"].help) == (list, True, "A name.")
    (one,) = Collection(build_it).to_contexts()
    assert (one.name, one.aliases) == ("build-it", ("bb",))
    (read,) = Parser([one]).parse_argv(["bb", "p", "--log", "--item=a", "-v"])
    assert read.as_kwargs == {"pos": "p", "name": "x", "flag": False, "log": True, "item": ["a"], "verbose": 1}
    sub = Collection("sub", build_it)
    sub.configure({"a": 1})
    assert Collection(sub).task_with_config("sub.build-it") == (build_it, {"a": 1})
    assert Collection("root", sub).serialized()["collections"][0]["tasks"][0]["help"] == "Build."
