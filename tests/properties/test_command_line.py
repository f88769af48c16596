"""The command line: whatever is typed, an answer or a refusal comes back, and never a traceback."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from hypothesis import given, settings
from hypothesis import strategies as st

from faena.cli.catalog import CATALOG, group_for
from faena.cli.main import main

COMMANDS = sorted(set(CATALOG) - {"worker", "demo"})  # those two start processes
OPTIONS = sorted(
    {
        spelling
        for name in COMMANDS
        for command in [group_for([name])[0].commands[name]]
        for each in getattr(command, "commands", {name: command}).values()
        for spelling in each.by_spelling
    }
)
INNER = sorted({inner for name in COMMANDS for inner in getattr(group_for([name])[0].commands[name], "commands", ())})
WORD = st.one_of(
    st.sampled_from([*COMMANDS, *INNER, *OPTIONS]),
    st.sampled_from(["help", "-h", "--help", "-V", "--", "-", "", "=", "--=", "-q", "1", "5m", "[1]", "a=b", "--json=x"]),
    st.builds("{}={}".format, st.sampled_from(OPTIONS), st.text(max_size=5)),
    st.text(max_size=8),
)


@given(st.lists(WORD, max_size=7))
@settings(max_examples=300, deadline=None)
def test_no_line_ends_in_a_traceback(words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["-A", "no_such_app_here", *words])
    assert code in (0, 1, 2)
    if code == 2:
        assert err.getvalue().startswith("faena: ")
        assert "Traceback" not in err.getvalue()
    if code == 0:
        assert out.getvalue()
