"""How often and how soon a task is retried: the task says it, or else the settings."""

from __future__ import annotations

import pytest

from faena.app.app import Faena


@pytest.fixture
def app():
    app = Faena("shop", broker="memory://retry-settings", set_as_current=False)
    yield app
    app.close()


def test_settings_decide_for_tasks_that_say_nothing_also_when_they_come_later(app):
    @app.task(autoretry_for=(OSError,))
    def mail():
        pass

    app.conf.update(task_max_retries=7, task_default_retry_delay=2)
    policy = mail.retry_policy_for(OSError())
    assert (mail.max_retries, mail.default_retry_delay) == (7, 2.0)
    assert (policy.max_retries, policy.delay_s) == (7, 2.0)


def test_what_the_task_says_goes_before_the_settings(app):
    app.conf.update(task_max_retries=7, task_default_retry_delay=2)

    @app.task(autoretry_for=(OSError,), max_retries=None, default_retry_delay=1)
    def mail():
        pass

    @app.task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0.5})
    def report():
        pass

    policy = mail.retry_policy_for(OSError())
    assert (mail.max_retries, policy.max_retries, policy.delay_s) == (None, None, 1.0)
    policy = report.retry_policy_for(OSError())
    assert (policy.max_retries, policy.delay_s) == (2, 0.5)
