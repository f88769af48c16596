"""Where values come from, and which one wins."""

from __future__ import annotations

import pytest

from faena.config.layers import find_project
from faena.config.settings import Settings
from faena.errors import ConfigurationError, InvalidSetting, UnknownSetting


def settings_of(folder, code=None, **environ):
    return Settings(code, cwd=str(folder), environ=environ)


def source_of(settings, name):
    return next(row.source for row in settings.explain() if row.name == name)


def test_each_layer_wins_over_the_one_below(tmp_path):
    expected = ["default"]
    found = [settings_of(tmp_path).task_default_queue]
    (tmp_path / "faena.toml").write_text('task_default_queue = "file"\n')
    found.append(settings_of(tmp_path).task_default_queue)
    (tmp_path / ".env").write_text("FAENA_TASK_DEFAULT_QUEUE=dotenv\n")
    found.append(settings_of(tmp_path).task_default_queue)
    variable = {"FAENA_TASK_DEFAULT_QUEUE": "environment"}
    found.append(settings_of(tmp_path, **variable).task_default_queue)
    code = {"task_default_queue": "code"}
    found.append(settings_of(tmp_path, code, **variable).task_default_queue)
    settings = settings_of(tmp_path, code, **variable)
    settings.override({"task_default_queue": "command line"})
    found.append(settings.task_default_queue)
    expected += ["file", "dotenv", "environment", "code", "command line"]
    assert found == expected


def test_explain_names_file_and_variable(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.faena]\ntask_default_queue = "file"\n')
    (tmp_path / ".env").write_text("FAENA_WORKER_CONCURRENCY=2\n")
    settings = settings_of(tmp_path, FAENA_TASK_TIME_LIMIT="5m")
    assert source_of(settings, "task_default_queue") == f"{tmp_path}/pyproject.toml [tool.faena]"
    assert source_of(settings, "worker_concurrency") == f"{tmp_path}/.env: FAENA_WORKER_CONCURRENCY"
    assert source_of(settings, "task_time_limit") == "environment FAENA_TASK_TIME_LIMIT"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("worker_concurrency", "4", 4),
        ("worker_concurrency", "none", None),
        ("worker_concurrency", "", None),
        ("task_track_started", "yes", True),
        ("task_track_started", "0", False),
        ("task_time_limit", "90", 90.0),
        ("task_time_limit", "1.5h", 5400.0),
        ("accept_content", "json, msgpack", ("json", "msgpack")),
        ("accept_content", '["json"]', ("json",)),
        ("imports", "", ()),
        ("task_queues", "a,b", ("a", "b")),
        ("task_routes", '{"a.*": "a"}', {"a.*": "a"}),
        ("task_routes", '[["a.*", "a"]]', (("a.*", "a"),)),
        ("broker_transport_options", '{"synchronous": "FULL"}', {"synchronous": "FULL"}),
        ("worker_max_memory_per_child", "200000", 200000),
        ("broker_url", "sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_a_variable_is_read_as_its_setting_has_it(tmp_path, name, text, value):
    assert settings_of(tmp_path, **{f"FAENA_{name.upper()}": text})[name] == value


def test_toml_values_and_texts_are_both_read(tmp_path):
    (tmp_path / "faena.toml").write_text('task_time_limit = "5m"\nworker_concurrency = 3\naccept_content = ["json"]\n')
    settings = settings_of(tmp_path)
    assert (settings.task_time_limit, settings.worker_concurrency, settings.accept_content) == (300.0, 3, ("json",))


def test_a_wrong_value_names_the_place_it_stands_in(tmp_path):
    with pytest.raises(InvalidSetting) as caught:
        _ = settings_of(tmp_path, FAENA_WORKER_CONCURRENCY="four").worker_concurrency
    assert str(caught.value) == (
        "setting 'worker_concurrency' cannot be 'four' (from environment FAENA_WORKER_CONCURRENCY): "
        "expected a whole number, or none"
    )


def test_an_unknown_name_in_the_file_is_an_error(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.faena]\ntask_time_limi = 3\n")
    with pytest.raises(UnknownSetting) as caught:
        _ = settings_of(tmp_path).task_time_limit
    assert str(caught.value) == (
        f"unknown setting 'task_time_limi' in {tmp_path}/pyproject.toml [tool.faena]; did you mean 'task_time_limit'? "
        "(list them with: faena config --explain)"
    )


def test_an_unknown_variable_is_reported_and_no_error(tmp_path):
    (tmp_path / ".env").write_text("FAENA_BROKER=x\n")
    settings = settings_of(tmp_path, FAENA_TASK_TIMELIMIT="3", HOME="/root")
    assert settings.task_time_limit is None
    assert [(each.where, each.suggestion) for each in settings.unknown_variables()] == [
        (f"{tmp_path}/.env: FAENA_BROKER", "FAENA_BROKER_URL"),
        ("environment FAENA_TASK_TIMELIMIT", "FAENA_TASK_TIME_LIMIT"),
    ]


def test_tables_of_the_runner_are_no_settings(tmp_path):
    (tmp_path / "faena.toml").write_text("[runner]\njobs = 4\n")
    assert settings_of(tmp_path).task_default_queue == "default"


def test_the_nearest_folder_that_speaks_of_us_is_the_project(tmp_path):
    inner = tmp_path / "packages" / "shop"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.faena]\n")
    (tmp_path / "packages" / "pyproject.toml").write_text("[project]\nname = 'faena-shop'\n")
    assert find_project(str(inner)).folder == str(tmp_path)
    (inner / "faena.toml").write_text("")
    assert find_project(str(inner)).folder == str(inner)


def test_without_any_file_the_current_folder_is_the_project(tmp_path):
    found = find_project(str(tmp_path))
    assert (found.folder, found.file) == (str(tmp_path), None)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "faena.toml").write_text("task_time_limit 3\n")
    with pytest.raises(ConfigurationError, match=r"faena\.toml is not valid TOML: .*line 1"):
        _ = settings_of(tmp_path).task_time_limit


def test_a_broken_pyproject_of_others_is_not_our_business(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert settings_of(tmp_path).task_time_limit is None


def test_two_files_in_one_folder_are_refused(tmp_path):
    (tmp_path / "faena.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text("[tool.faena]\napp = 'shop'\n")
    with pytest.raises(ConfigurationError, match="keep one of them"):
        _ = settings_of(tmp_path).task_time_limit


def test_the_runners_table_does_not_stand_in_the_way_of_a_file_of_our_own(tmp_path):
    (tmp_path / "faena.toml").write_text('task_default_queue = "mail"\n')
    (tmp_path / "pyproject.toml").write_text("[tool.faena.runner]\njobs = 4\n")
    assert settings_of(tmp_path).task_default_queue == "mail"


def test_a_broken_dotenv_is_named_with_its_line(tmp_path):
    (tmp_path / ".env").write_text("A=1\nFAENA_BROKER_URL\n")
    with pytest.raises(ConfigurationError, match=r"\.env: line 2: expected NAME=value, found 'FAENA_BROKER_URL'"):
        _ = settings_of(tmp_path).task_time_limit


def test_tool_faena_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool]\nfaena = 3\n")
    with pytest.raises(ConfigurationError, match=r"tool\.faena is no table"):
        _ = settings_of(tmp_path).task_time_limit


def test_a_secret_in_a_wrong_variable_is_masked(tmp_path):
    with pytest.raises(InvalidSetting) as caught:
        _ = settings_of(tmp_path, FAENA_BROKER_TRANSPORT_OPTIONS="amqp://me:hunter2@host").broker_url
    assert "hunter2" not in str(caught.value)
