"""One declaration per setting, from which everything else is made: attributes, files, environment, help, documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from msgspec import Struct

from faena.config.convert import Kind

T = TypeVar("T")


class Row(Struct, frozen=True):
    """What `explain` says of one setting. Secrets are masked already."""

    name: str
    value: Any
    source: str
    default: Any
    unit: str
    text: str
    secret: bool


class Owner(Protocol):
    """Who has settings, and puts the values that were said into its dictionary."""

    def resolve(self) -> None: ...


class Setting:
    """A declared setting: a descriptor that answers only until it was read, or said.

    It has no `__set__`, so that a value in the instance's own dictionary comes first: reading a setting once more costs
    what reading any attribute costs.
    """

    __slots__ = ("aliases", "check", "default", "formerly", "kind", "maximum", "minimum", "name",
                 "secret", "text", "unit")  # fmt: skip

    def __init__(
        self,
        default: Any,
        *,
        text: str,
        unit: str,
        minimum: float | None,
        maximum: float | None,
        secret: bool,
        aliases: Mapping[str, str],
        formerly: tuple[str, ...],
        check: Callable[[Any], str | None] | None,
    ) -> None:
        self.default = default
        self.text = text
        self.unit = unit
        self.minimum = minimum
        self.maximum = maximum
        self.secret = secret
        self.aliases = aliases
        self.formerly = formerly
        self.check = check
        self.name = ""
        self.kind: Kind | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Owner | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        instance.resolve()
        default = dict(self.default) if isinstance(self.default, dict) else self.default
        return instance.__dict__.setdefault(self.name, default)

    @property
    def words(self) -> str:
        """Say what it takes."""
        return self.kind.words if self.kind is not None else ""

    def read(self, value: Any, *, is_text: bool) -> Any:
        """Return `value` as the declared type has it.

        Raises ValueError, with what was expected.
        """
        if self.kind is None:
            raise RuntimeError(f"setting {self.name} is read before its class is complete")
        found = self.kind.read(value, is_text=is_text, aliases=self.aliases)
        if isinstance(found, int | float):
            if self.minimum is not None and found < self.minimum:
                raise ValueError(f"expected at least {self.minimum:g}")
            if self.maximum is not None and found > self.maximum:
                raise ValueError(f"expected at most {self.maximum:g}")
        reason = self.check(found) if self.check is not None and found is not None else None
        if reason:
            raise ValueError(reason)
        return found


def setting(
    default: T,
    *,
    text: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
    aliases: Mapping[str, str] | None = None,
    formerly: tuple[str, ...] = (),
    check: Callable[[Any], str | None] | None = None,
) -> T:
    """Declare a setting; its name and type are those of the attribute it is assigned to.

    `aliases`: other words (in small letters) for a choice. `formerly`: the names it had in Celery before version 4.
    `check` returns what is wrong with a value, or None.
    """
    if minimum is None and unit:
        minimum = 0
    declared = Setting(
        default,
        text=text,
        unit=unit,
        minimum=minimum,
        maximum=maximum,
        secret=secret,
        aliases=aliases or {},
        formerly=formerly,
        check=check,
    )
    return cast("T", declared)
