"""Collections and tasks as values."""

from __future__ import annotations

import types

import pytest

from faena.runner.collection import Collection
from faena.runner.context import Context
from faena.runner.task import Call, Task, call, task


@task
def build_it(c):
    """Build."""
    return "built"


@task(aliases=["wipe_out"], default=True)
def clean(c, deep=False):
    return deep


def test_tasks_go_by_their_own_names_modules_by_theirs_and_keywords_by_the_key():
    module = types.ModuleType("pkg.docs")
    module.serve = task(name="serve")(lambda c: None)
    found = Collection("root", build_it, module, Collection("sub", clean), other=build_it)
    assert found.task_names == {
        "build-it": [],
        "other": [],
        "docs.serve": [],
        "sub.clean": ["sub", "sub.wipe-out"],
    }
    assert found["sub"] is found["sub.clean"] is found["sub.wipe-out"] is clean
    assert found["build_it"] is build_it
    assert "docs.serve" in found
    assert "nosuch" not in found
    with pytest.raises(KeyError):
        found["nosuch"]


def test_a_module_gives_its_namespace_or_all_its_tasks():
    module = types.ModuleType("tasks", "About tasks.")
    module.build_it, module.other = build_it, 5
    assert Collection.from_module(module).task_names == {"build-it": []}
    assert Collection.from_module(module).__doc__ == "About tasks."
    module.ns = Collection("own", clean)
    module.ns.configure({"a": {"b": 1, "c": 2}})
    found = Collection.from_module(module, name="given", config={"a": {"b": 3}})
    assert (found.name, found.task_names) == ("given", {"clean": ["wipe-out"]})
    assert found.configuration() == {"a": {"b": 3, "c": 2}}
    assert module.ns.configuration() == {"a": {"b": 1, "c": 2}}


def test_the_configuration_of_outer_collections_wins():
    inner = Collection("inner", build_it)
    inner.configure({"a": 1, "b": 1})
    root = Collection(inner)
    root.configure({"a": 2})
    assert root.configuration("inner.build-it") == {"a": 2, "b": 1}


def test_names_that_clash_and_things_that_do_not_belong_are_refused():
    with pytest.raises(ValueError, match="Name conflict: this collection has a task named 'a' already"):
        Collection("root", task(name="a")(lambda c: None), Collection("a"))
    with pytest.raises(ValueError, match="Name conflict"):
        Collection(Collection("a"), a=build_it)
    with pytest.raises(ValueError, match="Non-root collections must have a name!"):
        Collection(Collection(build_it))
    with pytest.raises(TypeError, match="No idea how to insert <class 'int'>!"):
        Collection(5)
    with pytest.raises(ValueError, match="'other' cannot be the default because 'clean' already is!"):
        Collection(clean).add_task(build_it, name="other", default=True)


def test_a_task_tells_about_itself_and_its_call_runs_the_body_alone():
    ran = []

    @task(pre=[build_it], name="clean-up")
    def own(c, x=0):
        """Doc."""
        ran.append(x)
        return x

    assert (own.name, own.aliases, own.__doc__, own.is_default, own.pre) == ("clean-up", (), "Doc.", False, [build_it])
    assert (own.called, own.times_called) == (False, 0)
    assert own(Context(), x=3) == 3
    assert (ran, own.called, own.times_called) == ([3], True, 1)
    with pytest.raises(TypeError, match="Task expected a Context as its first arg, got <class 'str'> instead!"):
        own("x")


def test_tasks_are_equal_by_name_and_code():
    def body(c):
        pass

    assert Task(body) == Task(body)
    assert hash(Task(body)) == hash(Task(body))
    assert Task(body) != Task(body, name="other")
    assert call(build_it, 1) == Call(build_it, args=(1,))
    assert call(clean, True) != call(clean, deep=True)


def test_what_no_task_can_be_is_refused_where_it_is_declared():
    with pytest.raises(TypeError, match="Tasks must have an initial Context argument!"):

        @task
        def none():
            pass

    with pytest.raises(TypeError, match=r"May not give \*args and 'pre' kwarg simultaneously!"):
        task(build_it, pre=[clean])
    with pytest.raises(TypeError, match="task\\(\\) has no option 'defualt'; did you mean 'default'\\?"):
        task(defualt=True)

    @task(help={"nope": "x"})
    def helped(c, a=1):
        pass

    with pytest.raises(ValueError, match=r"Help field was set for param\(s\) that don't exist: \['nope'\]"):
        helped.command("helped")


def test_positional_arguments_of_the_decorator_run_before():
    @task(build_it, clean)
    def both(c):
        pass

    assert both.pre == [build_it, clean]
