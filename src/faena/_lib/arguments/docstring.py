"""Read a docstring: its summary, its description, and the help of each parameter.

Knows the three ways people write parameters down: Google (`Args:`), reST (`:param name:`), NumPy (underlined).
"""

from __future__ import annotations

_SECTIONS = ("args:", "arguments:", "parameters:", "options:")


def dedent(text: str) -> str:
    """Take the common indentation away from all lines but the first, as `inspect.cleandoc` does."""
    lines = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    lines = [lines[0].strip(), *(line[margin:].rstrip() for line in lines[1:])]
    return "\n".join(lines).strip("\n")


def summary_of(text: str | None) -> str:
    """The first line of a docstring, or nothing."""
    if not text:
        return ""
    stripped = text.lstrip()
    return stripped.partition("\n")[0].strip()


def read_docstring(text: str | None) -> tuple[str, str, dict[str, str]]:
    """Split a docstring into summary, description without the parameters, and the help of each parameter."""
    if not text:
        return "", "", {}
    body = dedent(text)
    kept: list[str] = []
    found: dict[str, str] = {}
    lines = body.split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        word = line.strip().lower()
        if word in _SECTIONS:
            index = _read_google(lines, index + 1, found)
        elif word in ("parameters", "other parameters") and _is_underline(lines, index + 1):
            index = _read_numpy(lines, index + 2, found)
        elif word.startswith(":param"):
            index = _read_rest(lines, index, found)
        else:
            kept.append(line)
            index += 1
    description = "\n".join(kept).strip("\n")
    return summary_of(description), description, found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_underline(lines: list[str], index: int) -> bool:
    return index < len(lines) and lines[index].strip() != "" and set(lines[index].strip()) == {"-"}


def _bare_name(text: str) -> str:
    return text.split("(")[0].strip().lstrip("*")


def _read_google(lines: list[str], index: int, found: dict[str, str]) -> int:
    margin: int | None = None
    name = ""
    while index < len(lines):
        line = lines[index]
        if line.strip():
            if _indent(line) == 0:
                break
            margin = _indent(line) if margin is None else margin
            head, colon, tail = line.strip().partition(":")
            if _indent(line) == margin and colon and _bare_name(head).isidentifier():
                name = _bare_name(head)
                found[name] = tail.strip()
            elif name:
                found[name] = f"{found[name]} {line.strip()}".strip()
        index += 1
    return index


def _read_numpy(lines: list[str], index: int, found: dict[str, str]) -> int:
    name = ""
    while index < len(lines):
        line = lines[index]
        if line.strip() and _is_underline(lines, index + 1):
            break
        if line.strip() and _indent(line) == 0:
            name = _bare_name(line.partition(":")[0])
            found[name] = ""
        elif line.strip() and name:
            found[name] = f"{found[name]} {line.strip()}".strip()
        index += 1
    return index


def _read_rest(lines: list[str], index: int, found: dict[str, str]) -> int:
    head, _, tail = lines[index].strip()[len(":param") :].partition(":")
    name = head.split()[-1].lstrip("*") if head.split() else ""
    found[name] = tail.strip()
    index += 1
    while index < len(lines) and lines[index].strip() and _indent(lines[index]) > 0:
        found[name] = f"{found[name]} {lines[index].strip()}".strip()
        index += 1
    return index
