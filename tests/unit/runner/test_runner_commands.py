"""What `c.run` takes, gives back and refuses, without starting anything."""

from __future__ import annotations

import re

import pytest

from faena.errors import Failure, ResponseNotAccepted, UnexpectedExit
from faena.runner.commands import Options, hidden_streams, plain_words
from faena.runner.config import Config
from faena.runner.context import Context
from faena.runner.mock_context import MockContext
from faena.runner.result import Result
from faena.runner.secret import Secret, StreamMask, masked
from faena.runner.watchers import FailingResponder, Responder


def test_the_result_tells_all_about_a_command():
    result = Result("out\n", "", command="cmd", exited=3, hide=("stdout",))
    assert (result.ok, result.failed, bool(result), result.return_code) == (False, True, False, 3)
    assert repr(result) == "<Result cmd='cmd' exited=3>"
    assert str(result) == "Command exited with status 3.\n=== stdout ===\nout\n\n(no stderr)"
    assert Result("\n".join(str(n) for n in range(20))).tail("stdout", count=2) == "\n\n18\n19"


def test_the_error_of_a_failed_command_shows_what_was_hidden():
    result = Result("hello\n", "oops\n", command="echo hello; exit 3", exited=3)
    assert str(UnexpectedExit(result)) == (
        "Encountered a bad command exit code!\n\nCommand: 'echo hello; exit 3'\n\nExit code: 3\n\n"
        "Stdout: already printed\n\nStderr: already printed\n\n"
    )
    result.hide = ("stdout", "stderr")
    assert "Stdout:\n\nhello\n\nStderr:\n\noops\n\n" in str(UnexpectedExit(result))
    result.pty = True
    assert "Stderr: n/a (PTYs have no stderr)\n\n" in str(UnexpectedExit(result))
    assert repr(UnexpectedExit(result)) == "<UnexpectedExit: cmd='echo hello; exit 3' exited=3>"
    assert issubclass(UnexpectedExit, Failure)


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (None, ()),
        (False, ()),
        (True, ("stdout", "stderr")),
        ("both", ("stdout", "stderr")),
        ("out", ("stdout",)),
        ("stdout", ("stdout",)),
        ("err", ("stderr",)),
        ("stderr", ("stderr",)),
    ],
)
def test_hide_has_these_values(value, hidden):
    assert hidden_streams(value) == hidden


def test_hide_of_another_value_lists_those():
    with pytest.raises(ValueError, match="'hide' is one of None, False, True, 'both', 'out', "):
        hidden_streams("maybe")


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(TypeError, match="run\\(\\) got an unexpected keyword argument 'wran'; did you mean 'warn'\\?"):
        Options({}, {"wran": True}, None, "")


def test_asynchronous_and_disown_exclude_one_another():
    with pytest.raises(ValueError, match="Cannot give both 'asynchronous' and 'disown' at the same time!"):
        Options({}, {"asynchronous": True, "disown": True}, None, "")


@pytest.mark.parametrize(
    ("command", "needs_shell"),
    [
        ("true", False),
        ("ls -l /tmp", False),
        ("cd /tmp", True),
        ("echo hi", True),
        ("A=1 ls", True),
        ("ls *.py", True),
        ("ls | wc", True),
        ("ls ~", True),
        ("ls $HOME", True),
        ("ls 'a b'", True),
        ("no-such-program-anywhere x", True),
        ("", True),
        ("ls\nls", True),
    ],
)
def test_a_command_of_plain_words_needs_no_shell(command, needs_shell):
    assert (plain_words(command, None) is None) is needs_shell


def test_directories_nest_and_an_absolute_one_starts_anew():
    c = Context(Config(lazy=True))
    with c.cd("usr"), c.cd("lib"):
        assert c.cwd == "usr/lib"
        with c.cd("/etc"):
            assert c.cwd == "/etc"
    assert c.cwd == ""


def test_the_context_reads_and_writes_its_configuration():
    c = Context(Config({"foo": {"bar": 1}}, lazy=True))
    assert (c.foo.bar, c["foo"]["bar"], c.get("nosuch", 2)) == (1, 1, 2)
    c.other = 3
    assert c.config.other == 3
    with pytest.raises(AttributeError, match="No attribute or config key found for 'nosuch'"):
        c.nosuch  # noqa: B018


def test_a_mock_answers_with_a_bool_a_text_a_list_or_by_command():
    assert MockContext(run=True).run("x").ok
    assert not MockContext(run=False).run("x").ok
    found = MockContext(run="text").run("x")
    assert (found.stdout, found.command) == ("text", "x")
    c = MockContext(run=["a", "b"])
    assert [c.run("x").stdout for _ in range(3)] == ["a", "b", "a"]
    c = MockContext(run={"one": "1", re.compile("t.*"): Result("2")})
    assert (c.run("one").stdout, c.run("two").stdout) == ("1", "2")
    c.run.assert_called_with("two")
    with pytest.raises(NotImplementedError, match="three"):
        MockContext(run={"one": "1"}).run("three")


def test_a_responder_answers_each_match_once():
    responder = Responder(r"name\?", "me\n")
    assert list(responder.submit("your name?")) == ["me\n"]
    assert list(responder.submit("your name? ok")) == []
    assert list(responder.submit("your name? ok name? name?")) == ["me\n", "me\n"]


def test_a_failing_responder_notices_the_refusal_of_its_answer():
    responder = FailingResponder("pw: ", "x\n", "Sorry")
    assert list(responder.submit("pw: ")) == ["x\n"]
    with pytest.raises(ResponseNotAccepted, match="Auto-response to r\"pw: \" failed with 'Sorry'!"):
        responder.submit("pw: \nSorry")


def test_secrets_are_starred_out_wherever_the_pieces_are_cut():
    secret = Secret("hunter2-unit")
    assert repr(secret) == "Secret('*****')"
    assert masked(f"login {secret}") == "login *****"
    whole = b"before hunter2-unit after hunter2-uni"
    for cut in range(len(whole)):
        mask = StreamMask()
        shown = mask.feed(whole[:cut]) + mask.feed(whole[cut:]) + mask.finish()
        assert shown == b"before ***** after hunter2-uni"
