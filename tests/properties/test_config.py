"""Settings: laws that hold for every value."""

from __future__ import annotations

import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from faena.config.secrets import mask_text
from faena.config.settings import Settings
from faena.errors import InvalidSetting

NAMES = st.sampled_from(sorted(Settings.declared))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
LAYERS = ("file", "dotenv", "environ", "code", "command line")


@given(NAMES, ANYTHING)
def test_a_value_is_taken_or_refused_with_an_error_that_names_the_setting(name, value):
    conf = Settings(cwd="/", environ={})
    try:
        conf[name] = value
    except InvalidSetting as error:
        assert error.name == name
        assert error.reason
        return
    taken = conf[name]
    conf[name] = taken
    assert conf[name] == taken or taken != taken  # what was taken is taken again, as it is


@given(NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_a_text_from_the_environment_is_taken_or_refused_by_name(name, text):
    conf = Settings(cwd="/", environ={f"FAENA_{name.upper()}": text})
    try:
        _ = conf[name]
    except InvalidSetting as error:
        assert error.where == f"environment FAENA_{name.upper()}"


@given(st.sets(st.sampled_from(LAYERS)))
@settings(deadline=None)
def test_the_highest_layer_that_speaks_wins(tmp_path_factory, speaking):
    folder = tmp_path_factory.mktemp("project")
    if "file" in speaking:
        (folder / "faena.toml").write_text('task_default_queue = "file"\n')
    if "dotenv" in speaking:
        (folder / ".env").write_text("FAENA_TASK_DEFAULT_QUEUE=dotenv\n")
    environ = {"FAENA_TASK_DEFAULT_QUEUE": "environ"} if "environ" in speaking else {}
    conf = Settings({"task_default_queue": "code"} if "code" in speaking else None, cwd=str(folder), environ=environ)
    if "command line" in speaking:
        conf.override({"task_default_queue": "command line"})
    highest = max(speaking, key=LAYERS.index, default="default")
    assert conf.task_default_queue == highest


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False).map(lambda each: round(each, 3)))
def test_seconds_are_the_same_as_number_and_as_text(seconds):
    conf = Settings(cwd="/", environ={"FAENA_RESULT_EXPIRES": f"{seconds:f}"})
    conf.task_time_limit = seconds
    assert conf.result_expires == conf.task_time_limit == seconds


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=4))
def test_a_mapping_in_the_environment_is_json(options):
    conf = Settings(cwd="/", environ={"FAENA_BROKER_TRANSPORT_OPTIONS": json.dumps(options)})
    assert conf.broker_transport_options == options


SECRET = st.text(string.ascii_letters + string.digits + "-._~!$'()*+,;=:%@", min_size=1)


@given(st.sampled_from(["redis", "amqps", "sqlite+x"]), st.text(string.ascii_letters, max_size=5), SECRET)
def test_no_password_of_a_url_is_shown(scheme, user, secret):
    assert mask_text(f"{scheme}://{user}:{secret}@host/0") == f"{scheme}://{user}:***@host/0"
