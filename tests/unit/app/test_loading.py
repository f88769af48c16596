"""What a program loads that imports an app and sends: start-up time is a feature."""

import subprocess
import sys

PROGRAM = """
import sys
from faena import Faena
app = Faena("shop")
app.task(name="mail")(lambda to: None)
app.sender
print(*sys.modules, sep="\\n")
"""

NOT_LOADED = {
    "asyncio", "dataclasses", "argparse", "sqlite3", "subprocess",
    "faena.app.breakers", "faena.model.breaker", "faena.tasks.breaker",
    "faena.app.control", "faena.app.dead_letters", "faena.app.declared", "faena.app.explain", "faena.app.limits",
    "faena.app.schedules", "faena.model.cron", "faena.model.lanes", "faena.model.limit", "faena.model.schedule",
    "faena.model.sun", "faena.model.timing", "faena.tasks.batch", "faena.tasks.flow", "faena.tasks.scheduling",
    "faena.tasks.unique",
}  # fmt: skip
NO_ROOMS = {"backends", "brokers", "cli", "drivers", "runner", "scheduler", "telemetry", "testing", "worker"}


def test_who_only_sends_loads_nothing_that_others_need():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "faena.app.app" in loaded
    assert loaded & NOT_LOADED == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("faena.")} & NO_ROOMS == set()
