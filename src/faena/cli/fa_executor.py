"""Run a line's tasks by an executor of the user's own: a `Program`'s, or `tasks.executor_class` of the configuration."""

from __future__ import annotations

from importlib import import_module

from faena.cli.fa_run import make_config, settings_from
from faena.errors import ConfigurationError
from faena.runner.executor import Asked
from faena.runner.parser import ParserContext, ParseResult, argument_of, write_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from faena.cli.fa import Line
    from faena.runner.collection import Collection
    from faena.runner.config import Config
    from faena.runner.executor import Executor


def executor_named(path: str) -> type[Executor]:
    """The class that `tasks.executor_class` names, as `package.module.Class`.

    Raises ConfigurationError: there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found: type[Executor] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"tasks.executor_class {path!r}: {error}") from None
    return found


def execute_line(
    executor_class: type[Executor],
    line: Line,
    root: Collection,
    *,
    core: ParserContext | None = None,
    config: Config | None = None,
) -> None:
    """Let the executor run the tasks of the line. What a task raises goes through."""
    from faena.runner.options import fa_options

    if core is None:
        core = ParserContext(args=[argument_of(each) for each in fa_options().parameters])
        write_back(core, line.options)
    settings = settings_from(line.options, line.rest)
    settings.jobs = 1
    config = make_config(line.options, root) if config is None else config
    config.load_collection(root.configuration())
    config.load_shell_env()
    if settings.overrides:
        config.load_overrides(settings.overrides)
    given = ParseResult([core])
    given.remainder = " ".join(line.rest)
    executor = executor_class(root, config, given)
    executor.settings = settings
    tasks = [Asked(name, parsed.args, parsed.kwargs) for _, name, parsed in line.tasks]
    executor.execute(*tasks or [Asked(str(root.default), (), {})])
