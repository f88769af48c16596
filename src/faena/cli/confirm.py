"""Ask before something is thrown away."""

from __future__ import annotations

import sys

from faena.cli.output import Output
from faena.errors import FaenaError, UsageError


def confirm(out: Output, question: str, *, force: bool, option: str = "--force") -> None:
    """Return when the answer is yes, or was given in advance with the option.

    Raises UsageError: nobody is there to answer; FaenaError: the answer was no.
    """
    if force:
        return
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to answer; say {option} to do it without asking")
    out.stderr.write(f"{question} [y/N] ")
    out.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise FaenaError("nothing was done")
