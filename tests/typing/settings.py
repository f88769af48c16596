"""Settings are typed: an unknown name and a value of another type are errors before anything runs. Checked, not run."""

from __future__ import annotations

from typing import assert_type

from faena import Faena

app = Faena("shop", broker="sqlite:///shop.db", task_time_limit=60)

assert_type(app.conf.task_time_limit, float | None)
assert_type(app.conf.task_default_priority, int)
assert_type(app.conf.enable_utc, bool)
app.conf.task_time_limit = 30
app.conf.accept_content = ["json", "msgpack"]
app.conf.task_routes = {"shop.*": "shop"}
app.conf.update(task_time_limit=30, worker_pool="threads")

_ = app.conf.task_time_limt  # type: ignore[attr-defined]
app.conf.task_default_priority = "high"  # type: ignore[assignment]
app.conf.worker_pool = "gevent"  # type: ignore[assignment]
