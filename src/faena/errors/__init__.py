"""Every error of faena. The tree is drawn in `faena.errors.tree`; they are imported from here, wherever they stand."""

from faena.errors.runner import *  # noqa: F403
from faena.errors.tree import *  # noqa: F403

for _found in list(globals().values()):
    if isinstance(_found, type) and issubclass(_found, BaseException):
        _found.__module__ = __name__  # what tracebacks show, and what is kept of a failure
