"""What the command line said about the run as a whole."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RunSettings:
    """Choices for one run. `overrides` are the values that flags set in the configuration."""

    __slots__ = (
        "dedupe",
        "force",
        "grouping",
        "is_dry_run",
        "jobs",
        "keep_going",
        "no_cache",
        "overrides",
        "remainder",
        "why",
        "yes",
    )

    def __init__(
        self,
        *,
        jobs: int = 1,
        keep_going: bool = False,
        dedupe: bool = True,
        force: bool = False,
        why: bool = False,
        yes: bool = False,
        is_dry_run: bool = False,
        no_cache: bool = False,
        grouping: str = "",
        remainder: tuple[str, ...] = (),
        overrides: dict[str, Any] | None = None,
    ) -> None:
        self.jobs = jobs
        self.keep_going = keep_going
        self.dedupe = dedupe
        self.force = force
        self.why = why
        self.yes = yes
        self.is_dry_run = is_dry_run
        self.no_cache = no_cache
        self.grouping = grouping
        self.remainder = remainder
        self.overrides = overrides or {}
