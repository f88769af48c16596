"""Tasks and calls: what a task file declares.

A plain slotted class and no dataclass: a file of 1,000 tasks makes 1,000 of them on every start.
"""

from __future__ import annotations

from faena._lib.arguments.signature import command_from, dashed
from faena._lib.arguments.spec import CommandSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, overload

    from faena.runner.parser import Argument

    P = ParamSpec("P")
    R = TypeVar("R")
    Dependency: TypeAlias = "Task[..., Any] | Call | str"
else:

    class _Plain:
        __slots__ = ()

        def __class_getitem__(cls, _item):
            return cls

    Generic = _Plain
    P = R = None

# The tool's own spellings that no task gets as a short letter by itself.
_RESERVED: tuple[str, ...] = ()


class Task(Generic[P, R]):
    """A function with a context, that runs by name from the shell.

    `pre` and `post` run before and after, in their order; `needs` run before, in any order, at the same time with
    `-j`. Each is a task, a `call(...)` or a name, and runs once for the same arguments.
    """

    __slots__ = ("__dict__", "__weakref__", "_commands", "aliases", "body", "is_default", "name", "needs", "options",
                 "post", "pre", "times_called")  # fmt: skip

    def __init__(
        self,
        body: Callable[P, R],
        name: str | None = None,
        aliases: Iterable[str] = (),
        positional: Iterable[str] | None = None,
        optional: Iterable[str] = (),
        default: bool = False,
        auto_shortflags: bool = True,
        help: Mapping[str, str] | None = None,  # noqa: A002  Invoke's word
        pre: Iterable[Dependency] | None = None,
        post: Iterable[Dependency] | None = None,
        autoprint: bool = False,
        iterable: Iterable[str] | None = None,
        incrementable: Iterable[str] | None = None,
        needs: Iterable[Dependency] | None = None,
        extras: Extras | None = None,
    ) -> None:
        code = getattr(body, "__code__", None)
        if code is not None:
            _check_signature(body, code)
        self.body = body
        self.name: str = name if name else str(getattr(body, "__name__", ""))  # noqa: FURB110
        self.aliases = tuple(aliases)
        self.is_default = default
        self.pre: list[Any] = list(pre) if pre else []
        self.post: list[Any] = list(post) if post else []
        self.needs: list[Any] = list(needs) if needs else []
        self.times_called = 0
        self._commands: dict[str, CommandSpec] | None = None
        self.options = TaskOptions(
            None if positional is None else tuple(positional),
            tuple(optional),
            auto_shortflags,
            help or {},
            autoprint,
            tuple(iterable or ()),
            tuple(incrementable or ()),
            extras,
        )
        if hasattr(body, "__doc__"):
            self.__dict__["__doc__"] = body.__doc__
        self.__dict__["__name__"] = getattr(body, "__name__", self.name)
        self.__dict__["__module__"] = getattr(body, "__module__", None)

    def __repr__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"<Task {self.name!r}{aliases}>"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Task) or self.name != other.name:
            return False
        own, its = getattr(self.body, "__code__", self.body), getattr(other.body, "__code__", other.body)
        return bool(own == its)

    def __hash__(self) -> int:
        return hash((self.name, id(getattr(self.body, "__code__", self.body))))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from faena.runner.context import Context

        if not args or not isinstance(args[0], Context):
            kind = type(args[0]) if args else "nothing"
            raise TypeError(f"Task expected a Context as its first arg, got {kind} instead!")
        self.times_called += 1
        return self.body(*args, **kwargs)

    @property
    def called(self) -> bool:
        return self.times_called > 0

    @property
    def help(self) -> Mapping[str, str]:
        return self.options.help

    @property
    def positional(self) -> tuple[str, ...] | None:
        return self.options.positional

    @property
    def autoprint(self) -> bool:
        return self.options.autoprint

    @property
    def extras(self) -> Extras | None:
        return self.options.extras

    def command(self, name: str, *, ignore_unknown_help: bool = False) -> CommandSpec:
        """The command line of this task under `name`; made when first asked for.

        Raises ValueError: `help` names a parameter that the function has not.
        """
        if self._commands is None:
            self._commands = {}
        spec = self._commands.get(name)
        if spec is None:
            spec = self._commands[name] = _command_of(self, name, ignore_unknown_help)
        return spec

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The task's parameters as arguments of Invoke's parser."""
        from faena.runner.parser import argument_of

        spec = self.command(self.name, ignore_unknown_help=bool(ignore_unknown_help))
        return [argument_of(each) for each in spec.parameters]


class TaskOptions:
    """How a task's parameters are read, and whether its value is printed."""

    __slots__ = ("auto_shortflags", "autoprint", "extras", "help", "incrementable", "iterable", "optional", "positional")

    def __init__(
        self,
        positional: tuple[str, ...] | None,
        optional: tuple[str, ...],
        auto_shortflags: bool,
        help: Mapping[str, str],  # noqa: A002  Invoke's word
        autoprint: bool,
        iterable: tuple[str, ...],
        incrementable: tuple[str, ...],
        extras: Extras | None,
    ) -> None:
        self.positional = positional
        self.optional = optional
        self.auto_shortflags = auto_shortflags
        self.help = help
        self.autoprint = autoprint
        self.iterable = iterable
        self.incrementable = incrementable
        self.extras = extras


class Extras:
    """What a task says beyond its function: when it may be skipped, how it fails, what it makes."""

    __slots__ = (
        "confirm",
        "each",
        "env",
        "needed_by",
        "on_failure",
        "outputs",
        "platforms",
        "retries",
        "retry_delay_s",
        "sources",
        "timeout_s",
        "undo",
        "version",
        "when",
    )

    def __init__(
        self,
        *,
        sources: Any = None,
        outputs: Any = None,
        each: Any = None,
        env: Sequence[str] = (),
        version: Any = None,
        when: Any = None,
        platforms: Sequence[str] = (),
        confirm: Any = None,
        retries: int = 0,
        retry_delay_s: float = 0.0,
        timeout_s: float | None = None,
        on_failure: Any = None,
        undo: Any = None,
        needed_by: Sequence[str] = (),
    ) -> None:
        self.sources = sources
        self.outputs = outputs
        self.each = each
        self.env = env
        self.version = version
        self.when = when
        self.platforms = platforms
        self.confirm = confirm
        self.retries = retries
        self.retry_delay_s = retry_delay_s
        self.timeout_s = timeout_s
        self.on_failure = on_failure
        self.undo = undo
        self.needed_by = needed_by


class Call:
    """A task with arguments, to stand in `pre`, `post` or `needs`."""

    __slots__ = ("args", "called_as", "kwargs", "task")

    def __init__(
        self, task: Task[..., Any] | str, called_as: str | None = None, args: Any = (), kwargs: Any = None
    ) -> None:
        self.task = task
        self.called_as = called_as
        self.args: tuple[Any, ...] = tuple(args)
        self.kwargs: dict[str, Any] = dict(kwargs or {})

    def __repr__(self) -> str:
        name = self.task if isinstance(self.task, str) else self.task.name
        return f"<Call {name!r}, args: {self.args!r}, kwargs: {self.kwargs!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and (self.task, self.args, self.kwargs) == (other.task, other.args, other.kwargs)

    def __hash__(self) -> int:
        return hash((self.task, repr(self.args), repr(sorted(self.kwargs.items()))))

    @property
    def name(self) -> str:
        if self.called_as:
            return self.called_as
        return self.task if isinstance(self.task, str) else dashed(self.task.name)


def call(task: Task[..., Any] | str, *args: Any, **kwargs: Any) -> Call:
    """Name a task with arguments, for `pre=[call(clean, deep=True)]`."""
    return Call(task, args=args, kwargs=kwargs)


_EXTRA_NAMES = frozenset(
    (
        "sources", "outputs", "each", "env", "version", "when", "platforms", "confirm", "retries", "on_failure", "undo",
        "needed_by",
    )
)  # fmt: skip
_PLAIN_NAMES = frozenset(
    (
        "name", "aliases", "positional", "optional", "default", "auto_shortflags", "help", "pre", "post", "needs",
        "autoprint", "iterable", "incrementable",
    )
)  # fmt: skip


if TYPE_CHECKING:

    @overload
    def task(body: Callable[P, R], /) -> Task[P, R]: ...  # type: ignore[overload-overlap]  # tasks first
    @overload
    def task(
        *pre_tasks: Dependency,
        name: str | None = None,
        aliases: Iterable[str] = (),
        positional: Iterable[str] | None = None,
        optional: Iterable[str] = (),
        default: bool = False,
        auto_shortflags: bool = True,
        help: Mapping[str, str] | None = None,
        pre: Iterable[Dependency] | None = None,
        post: Iterable[Dependency] | None = None,
        needs: Iterable[Dependency] | None = None,
        autoprint: bool = False,
        iterable: Iterable[str] | None = None,
        incrementable: Iterable[str] | None = None,
        klass: type[Task[..., Any]] = Task,
        sources: Any = None,
        outputs: Any = None,
        each: str | Sequence[str] | None = None,
        env: Sequence[str] = (),
        version: Any = None,
        when: Any = None,
        platforms: Sequence[str] = (),
        confirm: str | Callable[..., Any] | None = None,
        retries: int = 0,
        retry_delay: float | timedelta = 0,
        timeout: float | timedelta | None = None,
        on_failure: Any = None,
        undo: Any = None,
        needed_by: Sequence[str] = (),
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(*args: Any, **kwargs: Any) -> Any: ...

else:

    def task(*args, **kwargs):
        """Make a function a task: `@task`, `@task(pre=[...], ...)`, or `@task(first, second)` for tasks that run before.

        Raises TypeError: an option that no task has.
        """
        return _task(args, kwargs)


def _task(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Task):
        return Task(args[0])
    if args:
        if "pre" in kwargs:
            raise TypeError("May not give *args and 'pre' kwarg simultaneously!")
        kwargs["pre"] = args
    kind = kwargs.pop("klass", Task)
    extras = _extras_from(kwargs)
    if extras is not None:
        kwargs["extras"] = extras
    if kind is Task:
        for name in kwargs:
            if name not in _PLAIN_NAMES and name != "extras":
                from faena.errors import did_you_mean

                known = [*_PLAIN_NAMES, *_EXTRA_NAMES, "klass", "timeout", "retry_delay"]
                raise TypeError(f"task() has no option {name!r}{did_you_mean(name, known)}")

    def decorate(body: Callable[..., Any]) -> Any:
        return kind(body, **kwargs)

    return decorate


def _extras_from(kwargs: dict[str, Any]) -> Extras | None:
    found = {name: kwargs.pop(name) for name in _EXTRA_NAMES & kwargs.keys()}
    for name, target in (("timeout", "timeout_s"), ("retry_delay", "retry_delay_s")):
        value = kwargs.pop(name, None)
        if value is not None:
            found[target] = value.total_seconds() if hasattr(value, "total_seconds") else float(value)
    return Extras(**found) if found else None


def _check_signature(body: Any, code: Any) -> None:
    wrapped = body
    while hasattr(wrapped, "__wrapped__"):
        wrapped = wrapped.__wrapped__
    code = getattr(wrapped, "__code__", code)
    if code.co_argcount == 0 and not code.co_flags & 0x04:
        raise TypeError("Tasks must have an initial Context argument!")
    if "help" in code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]:
        raise TypeError(f"task '{body.__name__}': a parameter cannot be named 'help' (--help is the tool's own)")


def _command_of(task: Task[..., Any], name: str, ignore_unknown_help: bool) -> CommandSpec:
    options = task.options
    spec = command_from(
        task.body,
        name=name,
        skip_first=True,
        help=options.help,
        positional=options.positional,
        optional_values=options.optional,
        repeated=options.iterable,
        counted=options.incrementable,
        auto_short=options.auto_shortflags,
        positional_by_flag=True,
        reserved=_RESERVED,
    )
    if options.extras is not None and options.extras.each is not None:  # the rule hands these over itself
        kept = [each for each in spec.parameters if each.name not in ("source", "output")]
        spec = CommandSpec(name, kept, summary=spec.summary, description=spec.description)
    if options.help and not ignore_unknown_help:
        known = {parameter.name.strip("_") for parameter in spec.parameters}
        unknown = [key for key in options.help if key.replace("-", "_").strip("_") not in known]
        if unknown:
            raise ValueError(f"Help field was set for param(s) that don't exist: {unknown}")
    return spec
