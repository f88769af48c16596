"""What commands print: tables and colours for people at a terminal, plain columns for pipes, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from faena._lib.shorten import shortened

_CONTROLS = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if chr(number) not in "\n\t"}
_STYLES = {"ok": "32", "warn": "33", "fail": "31", "dim": "2", "bold": "1"}  # SGR numbers, ECMA-48 section 8.3.117


class Output:
    """Where a command writes its answer (stdout) and its remarks (stderr)."""

    def __init__(self, *, is_quiet: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.is_quiet = is_quiet
        self.stdout = stdout if stdout is not None else sys.stdout
        self.stderr = stderr if stderr is not None else sys.stderr

    @property
    def is_terminal(self) -> bool:
        try:
            return self.stdout.isatty()
        except ValueError:  # closed
            return False

    def line(self, text: str = "") -> None:
        self.stdout.write(text + "\n")

    def remark(self, text: str) -> None:
        """Say something that is not the answer; --quiet leaves it out."""
        if not self.is_quiet:
            self._to_stderr(text)

    def complain(self, text: str) -> None:
        """Say what went wrong."""
        self._to_stderr(f"faena: {text.rstrip()}")

    def _to_stderr(self, text: str) -> None:
        self.stdout.flush()  # what was said before it stands before it, also where both go into one pipe
        self.stderr.write(shortened(text).translate(_CONTROLS) + "\n")
        self.stderr.flush()

    def json(self, value: Any) -> None:
        import msgspec

        from faena._lib.plain import plain

        self.line(msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode())

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "", right: str = "") -> None:
        """Print rows; `right` names the columns of numbers, with spaces between. Without rows: remark `empty`."""
        found = [[_cell(value) for value in row] for row in rows]
        if not found:
            if empty:
                self.remark(empty)
            return
        numbers = {index for index, name in enumerate(columns) if name in right.split()}
        if self.is_terminal:
            self._drawn(columns, found, numbers)
        else:
            self._columns(columns, found, numbers)

    def styled(self, style: str, text: str) -> str:
        """Colour a text where that is wanted."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._wants_color() else text

    def _wants_color(self) -> bool:
        if not self.is_terminal:
            return False
        from faena.config.layers import read_environ

        environ = read_environ()
        return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"  # https://no-color.org

    def _columns(self, columns: Sequence[str], rows: list[list[str]], numbers: set[int]) -> None:
        table = [[name.upper().replace(" ", "-") for name in columns], *rows]
        flat = [[cell.replace("\n", " ") or "-" for cell in row] for row in table]
        widths = [max(len(row[index]) for row in flat) for index in range(len(columns))]
        for row in flat:
            cells = [
                cell.rjust(width) if index in numbers else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.line("  ".join(cells).rstrip())

    def _drawn(self, columns: Sequence[str], rows: list[list[str]], numbers: set[int]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for index, name in enumerate(columns):
            is_number = index in numbers
            is_whole = is_number or name == "id"  # to be copied
            table.add_column(name, justify="right" if is_number else "left", no_wrap=is_whole, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(file=self.stdout, highlight=False).print(table)


def ago(seconds: float) -> str:
    """Say a duration as people do: 3 s, 5 min, 2 h, 4 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s" if seconds >= 1 or seconds <= 0 else f"{seconds * 1000:.0f} ms"


def size_of(number_bytes: float) -> str:
    """Say a size as people do."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number_bytes < 1024:
            return f"{number_bytes:.0f} {unit}"
        number_bytes /= 1024
    return f"{number_bytes:.1f} TiB"


def shown(value: Any) -> str:
    """Write a value for people: texts as they are, everything else as JSON where that can say it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    import msgspec

    from faena._lib.plain import plain

    return msgspec.json.encode(plain(value)).decode()


def _cell(value: Any) -> str:
    return (
        "" if value is None else value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else str(value)
    )
