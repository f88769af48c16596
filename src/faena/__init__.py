"""faena: a distributed task queue and a task runner in one.

The public names load on demand, so that `import faena` costs next to nothing and `fa` never pays for the queue.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena.app.app import Faena as Faena
    from faena.app.current import shared_task as shared_task

__version__ = "0.1.0.dev0"

# name -> module that defines it
_EXPORTS = {
    "Faena": "faena.app.app",
    "shared_task": "faena.app.current",
}

__all__ = ["Faena", "__version__", "shared_task"]


def __getattr__(name: str) -> object:
    module_name = _EXPORTS.get(name)
    if module_name is None:
        raise AttributeError(f"module 'faena' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module_name), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_EXPORTS))
