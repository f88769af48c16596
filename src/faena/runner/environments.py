"""`.env` files and `fa --env NAME`: values that differ between environments.

`.env` of the task file's directory, then `.env.NAME`, set environment variables of commands that the process has not
set itself. `environments.NAME` of the configuration is merged over the project's values.
"""

from __future__ import annotations

import os

from faena.errors import Exit, nearest
from faena.runner.config_files import read_dotenv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena.runner.config import Config


def add_environment(config: Config, folder: str, name: str | None) -> None:
    """Add the layer of `.env` files and of the environment `name`.

    Raises Exit: the configuration knows environments, and none of that name.
    """
    variables: dict[str, str] = {}
    for file in (".env", f".env.{name}" if name else ""):
        path = os.path.join(folder, file)
        if file and os.path.isfile(path):
            variables.update(read_dotenv(path))
    values: dict[str, object] = {}
    if name:
        known = config._data.get("environments")
        if isinstance(known, dict) and known:
            if name not in known:
                found = nearest(name, known)
                hint = f"; did you mean '{found}'?" if found else f": one of {', '.join(sorted(known))}"
                raise Exit(f"fa: no environment '{name}'{hint}")
            values.update(known[name])
        values["environment"] = name
    fresh = {key: value for key, value in variables.items() if key not in os.environ}
    if fresh:
        values["run"] = {**dict(values.get("run") or {}), "env": fresh}  # type: ignore[call-overload]  # a mapping
    config.set_layer("dotenv", values, f".env and environment {name}" if name else ".env")
