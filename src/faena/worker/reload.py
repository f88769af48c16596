"""Start processes anew when a source file changes: for development."""

from __future__ import annotations

import logging
from collections.abc import Callable

from faena.errors import ConfigurationError

log = logging.getLogger("faena.worker")


def check_reload() -> None:
    """Raise ConfigurationError where what `watch_forever` needs is not installed."""
    try:
        import watchfiles  # noqa: F401 - an extra
    except ImportError:
        raise ConfigurationError("--reload needs watchfiles: pip install 'faena[watch]'") from None


async def watch_forever(folder: str, changed: Callable[[], None]) -> None:
    """Call `changed` after Python files below `folder` have changed, once for those that change together."""
    from watchfiles import PythonFilter, awatch  # an extra

    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it would tell of each change beside us
    async for changes in awatch(folder, watch_filter=PythonFilter()):
        log.info("%s changed: processes are started anew", ", ".join(sorted({path for _, path in changes})[:3]))
        changed()
