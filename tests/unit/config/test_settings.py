"""Settings: declarations, what code says, and the errors."""

from __future__ import annotations

import copy
import re
from datetime import timedelta

import pytest

from faena.config.settings import Settings
from faena.errors import InvalidSetting, UnknownSetting


@pytest.fixture
def settings(tmp_path):
    return Settings(cwd=str(tmp_path), environ={})


def message_of(change):
    with pytest.raises((UnknownSetting, InvalidSetting)) as caught:
        change()
    return str(caught.value)


def test_everything_has_a_default_of_its_own_type(settings):
    for name, declared in Settings.declarations().items():
        if declared.default is not None:
            assert declared.read(declared.default, is_text=False) == declared.default, name
        else:
            assert declared.kind.is_optional, name


def test_every_setting_has_a_text_that_is_a_sentence():
    for name, declared in Settings.declarations().items():
        assert declared.text.endswith("."), name
        assert "  " not in declared.text, name


def test_the_update_of_a_celery_project_is_taken(settings):
    settings.update(
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        timezone="Europe/Madrid",
        enable_utc=True,
        task_track_started=True,
        task_time_limit=30 * 60,
    )
    assert settings.task_time_limit == 1800.0
    assert settings.timezone == "Europe/Madrid"
    assert settings.task_track_started is True


def test_a_setting_is_read_as_attribute_by_name_and_with_get(settings):
    settings.task_default_queue = "mail"
    assert settings.task_default_queue == "mail"
    assert settings["task_default_queue"] == "mail"
    assert settings.get("task_default_queue") == "mail"
    assert settings.get("no_such", 7) == 7
    assert "task_default_queue" in settings
    assert "no_such" not in settings


def test_settings_make_a_mapping(settings):
    settings["worker_concurrency"] = 3
    found = dict(settings)
    assert found["worker_concurrency"] == 3
    assert list(found) == list(settings) == list(Settings.declared)
    assert len(settings) == len(found)


def test_a_resolved_setting_lies_in_the_instance(settings):
    assert settings.task_time_limit is None
    assert "task_time_limit" in vars(settings)


def test_values_in_code_are_checked_where_they_are_said(settings):
    text = message_of(lambda: settings.update(worker_concurrency="4"))
    assert text.startswith("setting 'worker_concurrency' cannot be '4' (from ")
    assert "test_settings.py:" in text
    assert text.endswith("): expected a whole number, or none")


def test_an_update_with_one_mistake_changes_nothing(settings):
    with pytest.raises(InvalidSetting):
        settings.update(task_default_queue="mail", task_default_priority=10)
    assert settings.task_default_queue == "default"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("task_time_limt", "task_time_limit"),
        ("TASK_TIME_LIMIT", "task_time_limit"),
        ("CELERY_RESULT_BACKEND", "result_backend"),
        ("BROKER_URL", "broker_url"),
        ("CELERYD_CONCURRENCY", "worker_concurrency"),
        ("CELERY_TASK_ALWAYS_EAGER", "task_always_eager"),
        ("CELERY_TASK_TIME_LIMIT", "task_time_limit"),
        ("CELERYD_PREFETCH_MULTIPLIER", "worker_prefetch_multiplier"),
        ("concurrency", "worker_concurrency"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_it_means(settings, name, suggestion):
    text = message_of(lambda: settings.update({name: 1}))
    assert text.startswith(f"unknown setting '{name}' in ")
    assert f"; did you mean '{suggestion}'? (list them with: faena config --explain)" in text


def test_an_unknown_name_is_refused_on_reading_and_on_assignment(settings):
    assert "did you mean 'task_routes'" in message_of(lambda: settings.task_route)
    assert "did you mean 'task_routes'" in message_of(lambda: settings["task_route"])
    assert "did you mean 'task_routes'" in message_of(lambda: setattr(settings, "task_route", {}))
    assert not hasattr(settings, "task_route")


def test_a_name_like_nothing_has_no_suggestion(settings):
    assert "did you mean" not in message_of(lambda: settings.update(qqq=1))


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("task_time_limit", timedelta(minutes=2), 120.0),
        ("task_time_limit", "5m", 300.0),
        ("task_time_limit", "30 s", 30.0),
        ("task_time_limit", "1h30m", 5400.0),
        ("task_time_limit", 7, 7.0),
        ("task_time_limit", None, None),
        ("result_expires", 0, 0.0),
        ("worker_max_memory_per_child", "300 MiB", 307200),
        ("worker_max_memory_per_child", "1g", 1048576),
        ("worker_pool", "prefork", "processes"),
        ("worker_pool", "Threads", "threads"),
        ("worker_loglevel", "info", "INFO"),
        ("worker_loglevel", "warn", "WARNING"),
        ("accept_content", {"json"}, ("json",)),
        ("imports", ["a", "b"], ("a", "b")),
        ("task_routes", {"a.*": "a"}, {"a.*": "a"}),
        ("task_routes", [("a.*", "a")], (("a.*", "a"),)),
        ("worker_health_address", "127.0.0.1:8081", "127.0.0.1:8081"),
    ],
)
def test_values_are_taken_as_their_setting_has_them(settings, name, value, found):
    settings[name] = value
    assert settings[name] == found
    assert type(settings[name]) is type(found)


def test_a_route_may_be_a_function(settings):
    settings.task_routes = message_of
    assert settings.task_routes is message_of


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("task_time_limit", "5 parsecs", "expected a number of seconds or a text such as '30 s', '5m', '1h30m', or none"),
        ("task_time_limit", -1, "expected at least 0"),
        ("task_time_limit", float("nan"), "expected a number of seconds or a text such as '30 s', '5m', '1h30m', or none"),
        ("task_time_limit", True, "expected a number of seconds or a text such as '30 s', '5m', '1h30m', or none"),
        ("task_default_priority", 10, "expected at most 9"),
        ("task_default_priority", None, "expected a whole number"),
        ("task_default_priority", 4.5, "expected a whole number"),
        ("worker_pool", "gevent", "expected one of processes, threads, solo"),
        ("enable_utc", "yes", "expected true or false"),
        ("enable_utc", 1, "expected true or false"),
        ("accept_content", "json", "expected a list of texts"),
        ("accept_content", [1], "expected a list of texts"),
        ("broker_transport_options", [1], "expected a mapping"),
        ("broker_transport_options", {1: 2}, "expected a mapping"),
        ("timezone", "Mars/Olympus", "no time zone of this name is known; expected one such as 'Europe/Madrid'"),
        ("worker_health_address", "8081", "expected HOST:PORT, such as '127.0.0.1:8081'"),
        ("worker_max_memory_per_child", "3 TB", "expected a whole number of KiB or a text such as '300 MiB', or none"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_was_expected(settings, name, value, reason):
    with pytest.raises(InvalidSetting) as caught:
        settings[name] = value
    assert caught.value.reason == reason
    assert caught.value.name == name


def test_a_route_may_be_a_compiled_pattern(settings):
    settings.task_routes = {re.compile("a|b"): "a"}
    assert settings.task_routes == {re.compile("a|b"): "a"}


def test_the_revision_grows_with_every_change(settings):
    first = settings.revision
    assert settings.task_default_queue == "default"
    assert settings.revision == first
    settings.task_default_queue = "mail"
    settings.override({"worker_concurrency": 2})
    assert settings.revision == first + 2


def test_settings_can_be_overridden_for_a_while(settings):
    settings.task_default_queue = "mail"
    revision = settings.revision
    with settings.overridden({"task_default_queue": "other"}):
        assert settings.task_default_queue == "other"
    assert settings.task_default_queue == "mail"
    assert settings.revision == revision + 2


def test_what_is_said_no_more_is_the_default_again(settings):
    default = settings.task_default_queue
    with settings.overridden({"task_default_queue": "other", "beat_schedule": {"a": {"task": "t", "schedule": 1}}}):
        assert settings.task_default_queue == "other"
        assert settings["beat_schedule"] == {"a": {"task": "t", "schedule": 1}}
    assert settings.task_default_queue == default
    assert settings.beat_schedule == {}


def test_a_default_that_is_changed_in_place_is_changed_for_these_settings_only(settings):
    settings.beat_schedule["a"] = {"task": "t", "schedule": 1}
    settings.task_default_queue = "mail"
    assert list(settings.beat_schedule) == ["a"]
    assert Settings().beat_schedule == {}


def test_reading_a_setting_copies_no_other(settings):
    assert settings.worker_lease == 30
    assert set(vars(settings)) & set(settings) == {"worker_lease"}


def test_the_command_line_wins_over_code_before_and_after(settings):
    settings.worker_concurrency = 1
    settings.override({"worker_concurrency": 2})
    settings.worker_concurrency = 3
    assert settings.worker_concurrency == 2


def test_explain_says_what_and_where(settings):
    settings.update(task_time_limit=60)
    settings.override({"worker_concurrency": 2})
    rows = {row.name: row for row in settings.explain()}
    assert rows["task_default_queue"].source == "default"
    assert rows["worker_concurrency"].source == "command line"
    assert "test_settings.py:" in rows["task_time_limit"].source
    assert (rows["task_time_limit"].value, rows["task_time_limit"].default, rows["task_time_limit"].unit) == (
        60.0,
        None,
        "s",
    )
    assert set(rows) == set(settings)


def test_secrets_are_shown_nowhere(settings):
    settings.update(
        broker_url="redis://me:hunter2@host/0",
        broker_transport_options={"password": "hunter2", "inner": {"sas_token": "hunter2"}},
    )
    with pytest.raises(InvalidSetting) as caught:
        settings.result_backend_transport_options = "redis://me:hunter2@host/0"
    shown = repr(settings) + repr(settings.explain()) + str(caught.value)
    assert "hunter2" not in shown
    assert "redis://me:***@host/0" in shown
    assert settings.broker_url == "redis://me:hunter2@host/0"


def test_the_embedded_file_stands_in_the_project_folder(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (tmp_path / "inner").mkdir()
    assert Settings(cwd=str(tmp_path / "inner"), environ={}).embedded_url == f"sqlite:///{tmp_path}/.faena/faena.db"


def test_a_default_is_not_shared_between_apps(tmp_path):
    first, second = Settings(cwd=str(tmp_path), environ={}), Settings(cwd=str(tmp_path), environ={})
    first.broker_transport_options["a"] = 1  # not how it is done, and it must not reach another app
    assert second.broker_transport_options == {}


def test_settings_can_be_copied(settings):
    settings.task_default_queue = "mail"
    assert copy.copy(settings).task_default_queue == "mail"
