"""What commands that change something print, for people and for programs."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from faena.cli.deed import Deed
from faena.cli.output import Output


@pytest.fixture
def session():
    return SimpleNamespace(out=Output(stdout=io.StringIO(), stderr=io.StringIO()))


def said(session):
    return session.out.stdout.getvalue(), session.out.stderr.getvalue()


def test_people_get_lines_remarks_and_errors(session):
    deed = Deed(session, "requeued", ["a", "b"], json=False)
    deed.remark("b runs elsewhere")
    assert deed.report("1 put back", count=1) == 0
    deed.error("a cannot run")
    assert deed.report() == 1
    assert said(session) == ("1 put back\n", "b runs elsewhere\nfaena: a cannot run\n")


def test_programs_get_all_of_it_in_one_object_on_standard_output(session):
    deed = Deed(session, "requeued", ("a", "b"), json=True)
    deed.remark("b runs elsewhere")
    deed.error("a cannot run")
    deed.details["b"] = {"node": 3}
    assert deed.report("1 put back", count=1) == 1
    out, err = said(session)
    assert err == ""
    assert json.loads(out) == {
        "done": "requeued",
        "count": 1,
        "named": ["a", "b"],
        "details": {"b": {"node": 3}},
        "remarks": ["b runs elsewhere"],
        "errors": ["a cannot run"],
    }


def test_the_count_is_of_what_is_named_unless_it_is_said(session):
    assert Deed(session, "paused", ["a", "b"], json=True).report("2 paused") == 0
    assert json.loads(session.out.stdout.getvalue())["count"] == 2
