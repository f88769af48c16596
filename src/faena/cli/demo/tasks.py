"""The app of the demo and its one task. A worker runs it as it runs any app: `-A faena.cli.demo.tasks`."""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

from faena.app.app import Faena
from faena.cli.demo.analysis import Unparsable, analyse_source
from faena.cli.demo.ledger import Ledger
from faena.tasks.task import Task

RETRIES = 2
RETRY_AFTER_S = 0.5

app = Faena("faena-demo")


@app.task(
    bind=True,
    autoretry_for=(Unparsable, OSError),  # a file may be half written when it is read; one that stays broken fails
    throws=(Unparsable,),  # expected of some: the worker logs a line, and no traceback
    max_retries=RETRIES,
    default_retry_delay=RETRY_AFTER_S,
    soft_time_limit=60,
    time_limit=90,
)
def analyse(self: Task[..., Any], ledger: str, root: str, file: str) -> dict[str, Any]:
    """Analyse one module, and note the attempt in the ledger of the run."""
    Ledger(ledger).note(str(self.request.id), time.time())
    with open(os.path.join(root, file), "rb") as source:
        facts = analyse_source(source.read())
    return {"process": os.getpid(), "facts": msgspec.to_builtins(facts, str_keys=True)}
