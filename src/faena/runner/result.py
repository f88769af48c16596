"""What a command left behind."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Result:
    """The outcome of one command: its output, its status, and how it was run."""

    def __init__(
        self,
        stdout: str = "",
        stderr: str = "",
        encoding: str | None = None,
        command: str = "",
        shell: str = "",
        env: Mapping[str, str] | None = None,
        exited: int | None = 0,
        pty: bool = False,
        hide: tuple[str, ...] = (),
        pid: int | None = None,
        disowned: bool = False,
        *,
        cwd: str = "",
        stdout_bytes: bytes | None = None,
        stderr_bytes: bytes | None = None,
        duration_s: float = 0.0,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.encoding = encoding or "utf-8"
        self.command = command
        self.shell = shell
        self._env = env
        self.exited = exited
        self.pty = pty
        self.hide = hide
        self.pid = pid
        self.disowned = disowned
        self.cwd = cwd
        self.stdout_bytes = stdout.encode(self.encoding, "surrogateescape") if stdout_bytes is None else stdout_bytes
        self.stderr_bytes = stderr.encode(self.encoding, "surrogateescape") if stderr_bytes is None else stderr_bytes
        self.duration_s = duration_s

    @property
    def env(self) -> dict[str, str]:
        """The command's whole environment."""
        if self._env is None:
            from os import environ

            return dict(environ)
        return dict(self._env)

    @property
    def return_code(self) -> int | None:
        return self.exited

    @property
    def ok(self) -> bool:
        return self.exited == 0

    @property
    def failed(self) -> bool:
        return not self.ok

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<Result cmd={self.command!r} exited={self.exited}>"

    def __str__(self) -> str:
        how = "was disowned" if self.disowned else f"exited with status {self.exited}"
        parts = [f"Command {how}."]
        for name in ("stdout", "stderr"):
            text = getattr(self, name).rstrip()
            parts.append(f"=== {name} ===\n{text}\n" if text else f"(no {name})")
        return "\n".join(parts)

    def tail(self, stream: str, count: int = 10) -> str:
        """The last lines of one stream, after an empty line."""
        lines = getattr(self, stream).splitlines()[-count:]
        return "\n\n" + "\n".join(lines)
