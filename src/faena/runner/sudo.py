"""`c.sudo`: a command as another user, with the password prompt answered."""

from __future__ import annotations

from faena.errors import AuthFailure, Failure, ResponseNotAccepted
from faena.runner.secret import hide_value
from faena.runner.watchers import FailingResponder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from faena.runner.config import Config


def run_sudo(config: Config, command: str, kwargs: Mapping[str, Any], run: Callable[[str, dict[str, Any]], Any]) -> Any:
    """Run `sudo -S -p PROMPT ... command` by `run`.

    Raises AuthFailure: sudo asked again after the configured password.
    """
    import re
    import shlex

    options = dict(kwargs)
    settings = config.sudo
    prompt = str(settings.get("prompt", "[sudo] password: "))
    user = options.pop("user", settings.get("user"))
    password = options.pop("password", settings.get("password"))
    words = ["sudo", "-S", "-p", shlex.quote(prompt)]
    env = options.get("env") or config.run._data.get("env") or {}
    if env:
        words.append(f"--preserve-env={shlex.quote(','.join(env))}")
    if user is not None:
        words.extend(["-H", "-u", shlex.quote(str(user))])
    text = f"{' '.join(words)} {command}"
    watchers = list(options.pop("watchers", config.run._data.get("watchers") or ()))
    if password is not None:
        hide_value(str(password))
        watchers.append(FailingResponder(re.escape(prompt), f"{password}\n", "Sorry, try again.\n"))
    try:
        return run(text, {**options, "watchers": watchers})
    except Failure as failure:
        if isinstance(failure.reason, ResponseNotAccepted):
            raise AuthFailure(failure.result, prompt) from None
        raise
