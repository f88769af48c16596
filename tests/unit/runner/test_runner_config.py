"""`Config` and `DataProxy`, as Invoke's task files use them."""

from __future__ import annotations

import pytest

from faena.errors import AmbiguousEnvVar, AmbiguousMergeError, UncastableEnvVar
from faena.runner.config import Config


def config(**overrides):
    return Config(overrides=overrides, lazy=True)


def test_values_are_reached_as_items_and_attributes_at_every_depth():
    found = Config({"dev": {"database_url": "sqlite://", "deep": {"x": 1}}}, lazy=True)
    assert found["dev"]["database_url"] == "sqlite://"
    assert found.dev.deep.x == found["dev"].deep["x"] == 1
    assert repr(found.dev) == "<DataProxy: {'database_url': 'sqlite://', 'deep': {'x': 1}}>"


def test_the_first_argument_goes_on_top_of_the_defaults_and_defaults_replace_them():
    assert config(run={"echo": True}).run.shell == "bash"
    assert config(run={"echo": True}).run.echo is True
    assert list(Config(defaults={"a": 1}, lazy=True)) == ["a"]


def test_a_missing_value_lists_what_there_is():
    found = Config(defaults={"a": 1, "b": {}}, lazy=True)
    with pytest.raises(KeyError):
        found["nosuch"]
    with pytest.raises(AttributeError) as caught:
        found.nosuch  # noqa: B018
    text = str(caught.value)
    assert text.startswith("No attribute or config key found for 'nosuch'\n\nValid keys: ['a', 'b']\n\n")
    assert "Valid real attributes: ['clear', 'clone'" in text


def test_values_may_be_set_and_removed_at_any_depth_and_outlive_a_new_merge():
    found = config()
    found.fresh = {"deep": 1}
    found.run.echo = True
    found.fresh.other = 2
    del found.fresh.deep
    found.set_layer("collection", {"run": {"echo": False}, "fresh": {"deep": 9}})
    assert (found.run.echo, found.fresh._data) == (True, {"other": 2})


def test_it_has_the_methods_of_a_dict_and_a_key_named_like_one_is_reachable_both_ways():
    found = Config({"a": {"x": 1}, "keys": {"y": 2}}, defaults={}, lazy=True)
    assert found.a.get("x") == 1
    assert found.a.get("nosuch", 5) == 5
    assert list(found.a.keys()) == ["x"]
    assert dict(found.a.items()) == {"x": 1}
    assert found["keys"].y == found.keys.y == 2
    assert len(found.a) == 1
    assert "x" in found.a
    assert found.a.setdefault("z", 3) == 3
    assert found.a.pop("z") == 3
    found.a.update({"q": 1}, r=2)
    assert found.a == {"x": 1, "q": 1, "r": 2}
    assert found.a.popitem() == ("r", 2)
    found.a.clear()
    assert not found.a


def test_a_clone_equals_its_model_until_one_of_them_changes():
    found = config(a={"b": [1]})
    copy = found.clone()
    assert copy == found
    copy.a.b.append(2)
    assert found.a.b == [1]
    assert copy != found


def test_layers_win_in_their_order():
    found = config()
    order = ["collection", "system", "user", "project", "dotenv", "env", "runtime", "overrides"]
    for number, layer in enumerate(order):
        found.set_layer(layer, {"run": {"shell": f"s{number}"}, layer: True}, f"from {layer}")
        assert found.run.shell == f"s{number}"
    assert found.collection is True
    assert ("run.shell", "s7", "from overrides") in found.explain()


def test_groups_and_values_of_one_name_are_refused():
    with pytest.raises(AmbiguousMergeError, match="'run'"):
        config(run=5)
    with pytest.raises(AmbiguousMergeError, match="'pty'"):
        config(run={"pty": {"a": 1}})


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("RUN_ECHO", "1", ("run", "echo"), True),
        ("RUN_ECHO", "0", ("run", "echo"), False),
        ("RUN_ECHO", "", ("run", "echo"), False),
        ("RUN_ECHO", "no", ("run", "echo"), False),
        ("RUN_ECHO", "false", ("run", "echo"), False),
        ("RUN_SHELL", "sh", ("run", "shell"), "sh"),
        ("NUMBER", "7", ("number",), 7),
        ("TIMEOUTS_COMMAND", "7", ("timeouts", "command"), "7"),
    ],
)
def test_environment_variables_set_values_that_exist_in_their_type(variable, text, path, value):
    found = config()
    found.set_layer("project", {"number": 1})
    found.load_shell_env({f"INVOKE_{variable}": text, "INVOKE_NEW_KEY": "x", "OTHER": "x"})
    here = found
    for key in path:
        here = here[key]
    assert here == value
    assert "new_key" not in found


def test_a_variable_that_fits_no_value_is_an_error():
    with pytest.raises(UncastableEnvVar):
        config(items=[1]).load_shell_env({"INVOKE_ITEMS": "x"})
    with pytest.raises(UncastableEnvVar):
        config(number=1).load_shell_env({"INVOKE_NUMBER": "x"})
    with pytest.raises(AmbiguousEnvVar):
        config(run_echo=1).load_shell_env({"INVOKE_RUN_ECHO": "1"})
