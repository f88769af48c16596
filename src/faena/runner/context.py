"""The context a task gets: it runs commands and holds the configuration."""

from __future__ import annotations

from os.path import expanduser, isabs, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any

    from faena.runner.config import Config


class _Pushed:
    """`with c.cd(...)`: something on a stack for as long as the block."""

    __slots__ = ("_item", "_stack")

    def __init__(self, stack: list[str], item: str) -> None:
        self._stack, self._item = stack, item

    def __enter__(self) -> None:
        self._stack.append(self._item)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.pop()


class Context:
    """Run commands (`run`, `sudo`), in a directory (`cd`) and after others (`prefix`); read and write configuration.

    Any other name is a value of the configuration: `c.foo`, `c["foo"]`, `c.foo = 1`.
    """

    __slots__ = ("__weakref__", "_config", "_make_config", "command_cwds", "command_prefixes", "remainder",
                 "remainder_args")  # fmt: skip

    def __init__(
        self,
        config: Config | None = None,
        remainder: str = "",
        *,
        remainder_args: tuple[str, ...] = (),
        make_config: Callable[[], Config] | None = None,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "_config", config)
        set_(self, "_make_config", make_config)
        set_(self, "command_prefixes", [])
        set_(self, "command_cwds", [])
        set_(self, "remainder", remainder)
        set_(self, "remainder_args", remainder_args)

    @property
    def config(self) -> Config:
        if self._config is None:
            if self._make_config is not None:
                found = self._make_config()
            else:
                from faena.runner.config import Config

                found = Config()
                found.load_shell_env()
            object.__setattr__(self, "_config", found)
        return self._config  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Context.__slots__:
            raise AttributeError(name)
        return getattr(self.config, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "config":
            object.__setattr__(self, "_config", value)
        elif name in Context.__slots__ or name in ("run", "sudo", "cd", "prefix"):
            object.__setattr__(self, name, value)
        else:
            self.config[name] = value

    def __delattr__(self, name: str) -> None:
        delattr(self.config, name)

    def __getitem__(self, name: str) -> Any:
        return self.config[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.config[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.config

    def __repr__(self) -> str:
        return "<Context>" if self._config is None else f"<Context: {self._config!r}>"

    def get(self, name: str, default: Any = None) -> Any:
        return self.config.get(name, default)

    def run(self, command: str | Sequence[str], **kwargs: Any) -> Any:
        """Run a command and return its `Result` (a `Promise` with `asynchronous=True`).

        A list is run without a shell. Options: warn, hide, echo, dry, pty, env, replace_env, cwd, timeout, shell,
        watchers, in_stream, out_stream, err_stream, encoding, echo_stdin, asynchronous, disown; what is not given
        comes from `run.*` of the configuration.

        Raises UnexpectedExit: the command ended with another status than 0, and `warn` is off; CommandTimedOut.
        """
        return self._run(command, kwargs)

    def _run(self, command: str | Sequence[str], kwargs: dict[str, Any]) -> Any:
        from faena.runner.commands import run_command
        from faena.runner.local import Local

        own = self.config.runners._data.get("local") if "runners" in self.config else None
        if own is not None and own is not Local:
            return own(self).run(command, **kwargs)
        prefix = "".join(f"{each} && " for each in self.command_prefixes)
        return run_command(self.config, command, kwargs, cwd=self.cwd, prefix=prefix)

    def sudo(self, command: str, **kwargs: Any) -> Any:
        """Run a command as another user; `sudo.password` of the configuration answers the prompt.

        Raises AuthFailure: the password was refused.
        """
        from faena.runner.sudo import run_sudo

        return run_sudo(self.config, command, kwargs, self._run)

    def cd(self, path: Any) -> _Pushed:
        """Run the block's commands in a directory; nested ones join."""
        return _Pushed(self.command_cwds, str(path))

    def prefix(self, command: str) -> _Pushed:
        """Run the block's commands after another one, in the same shell."""
        return _Pushed(self.command_prefixes, command)

    @property
    def cwd(self) -> str:
        """The joined directories of `cd`, or nothing."""
        found = ""
        for each in self.command_cwds:
            path = expanduser(each)
            found = path if isabs(path) or not found else join(found, path)
        return found
