"""Write the reference page of the settings from their declarations.

`python -m faena.config > docs/reference/settings.md`
"""

from __future__ import annotations

from typing import Any

from faena.config.declaration import Setting
from faena.config.layers import PREFIX
from faena.config.settings import Settings

_HEAD = """\
# Settings

*This page is made from the declarations in `faena/config/settings.py`; change those, then run
`python -m faena.config > docs/reference/settings.md`.*

Names are Celery's, in small letters, where the thing exists there. A name that is not on this page is an error that
suggests the nearest one.

## Where values come from

Lowest first; a later one wins:

1. the default below
2. the project's file: `faena.toml`, or the table `[tool.faena]` of `pyproject.toml`, found upwards from the current folder
3. `.env` in the project's folder: lines such as `FAENA_BROKER_URL=...`
4. the environment: `FAENA_` and the name in capitals, such as `FAENA_TASK_TIME_LIMIT=5m`
5. code: `Faena("shop", task_time_limit=300)`, `app.conf.update(task_time_limit=300)`, `app.conf.task_time_limit = 300`
6. the command line: `faena worker --time-limit 300`

`faena config --explain` prints every setting with its value and the place that said so; `faena doctor` warns of `FAENA_`
variables that are no setting.

```toml
[tool.faena]
app = "shop.tasks"
broker_url = "sqlite:///var/shop.db"
task_time_limit = "5m"
task_routes = { "shop.reports.*" = "reports" }
```

In the environment a list is written with commas (`FAENA_ACCEPT_CONTENT=json,msgpack`), a mapping as JSON, a switch as
`true` or `false`, nothing as `none`. A number of seconds may be written `90`, `90 s`, `5m` or `1h30m` everywhere, in code
also as a `timedelta`; a size in KiB as `300 MiB`. Passwords in URLs are masked wherever settings are shown.
"""

_GROUPS = {
    "": "General",
    "broker": "Broker",
    "result": "Results",
    "task": "Tasks",
    "dead": "Dead letters",
    "worker": "Workers",
}


def reference() -> str:
    """Return the page as Markdown."""
    groups: dict[str, list[Setting]] = {title: [] for title in _GROUPS.values()}
    for declared in Settings.declarations().values():
        groups[_GROUPS.get(declared.name.partition("_")[0], _GROUPS[""])].append(declared)
    blocks = [_HEAD]
    for title, members in groups.items():
        blocks.append(f"## {title}\n")
        blocks += [_entry(declared) for declared in members]
    return "\n".join(blocks)


def _entry(declared: Setting) -> str:
    facts = [f"default: {_written(declared)}", f"takes {declared.words}"]
    if declared.unit:
        facts.append(f"unit: {declared.unit}")
    if declared.minimum is not None:
        facts.append(f"at least {declared.minimum:g}")
    if declared.maximum is not None:
        facts.append(f"at most {declared.maximum:g}")
    variable = f"Environment: `{PREFIX}{declared.name.upper()}`"
    return f"### `{declared.name}`\n\n{declared.text}\n\n*{'; '.join(facts)}.* {variable}\n"


def _written(declared: Setting) -> str:
    default: Any = declared.default
    if isinstance(default, tuple):
        default = list(default)
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return "none" if default is None else f"`{default!r}`"
