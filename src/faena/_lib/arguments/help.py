"""Write the help of a command as plain text, a given number of columns wide."""

from __future__ import annotations

from faena._lib.arguments.spec import MISSING, CommandGroup, CommandSpec, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 2
_WIDEST_LEFT = 34


def render_command(
    spec: CommandSpec, program: str, width: int = 80, *, outer: CommandSpec | None = None, then: str = ""
) -> str:
    """The help of one command: usage, description, arguments, options (in their groups), options of the tool.

    `then` says what may follow that is none of its own: the commands of a tool.
    """
    blocks = [usage_of(spec, program, width, then)]
    if spec.description or spec.summary:
        blocks.append(spec.description or spec.summary)
    arguments = [(argument_name(each), help_of(each)) for each in spec.positionals if not each.hidden]
    if arguments:
        blocks.append("Arguments:\n" + table(arguments, width))
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in spec.options:
        if not each.hidden:
            groups.setdefault(each.group, []).append((spellings_of(each), help_of(each)))
    for name, rows in groups.items():
        blocks.append(f"{name or 'Options'}:\n" + table(rows, width))
    if outer is not None and outer.options:
        rows = [(spellings_of(each), help_of(each)) for each in outer.options if not each.hidden]
        blocks.append("Options of every command:\n" + table(rows, width))
    return "\n\n".join(blocks) + "\n"


def render_group(group: CommandGroup, program: str, width: int = 80, *, outer: CommandSpec | None = None) -> str:
    """The help of a group: its commands with their summaries, and the options of the tool."""
    blocks = [f"Usage: {program} COMMAND [...]"]
    if group.summary:
        blocks.append(group.summary)
    blocks.append("Commands:\n" + table([(name, each.summary) for name, each in group.commands.items()], width))
    if outer is not None and outer.options:
        rows = [(spellings_of(each), help_of(each)) for each in outer.options if not each.hidden]
        blocks.append("Options of every command:\n" + table(rows, width))
    blocks.append(f"Help of one command: {program} COMMAND --help")
    return "\n\n".join(blocks) + "\n"


def usage_of(spec: CommandSpec, program: str, width: int = 80, then: str = "") -> str:
    """The line that says how the command is called."""
    words = [f"Usage: {program}"]
    visible = [each for each in spec.options if not each.hidden]
    words.extend(f"{each.spellings[0]} {each.metavar}" for each in visible if each.is_required)
    if any(not each.is_required for each in visible):
        words.append("[options]")
    for each in spec.positionals:
        name = argument_name(each)
        words.append(name if each.is_required else f"[{name}]")
    if then:
        words.append(then)
    return "\n".join(wrap(" ".join(words), width, hang=7))


def argument_name(parameter: Parameter) -> str:
    name = parameter.name.strip("_").replace("_", "-").upper()
    if parameter.shape == "rest":
        return f"{name}..."
    return f"{name}..." if parameter.shape == "many" else name


def spellings_of(parameter: Parameter) -> str:
    """`-c, --[no-]color` or `-n INT, --number=INT`, as the help shows an option."""
    short = [each for each in parameter.spellings if len(each) == 2]
    long = [each for each in parameter.spellings if len(each) > 2]
    if len(long) > 1 and short:
        long = [each for each in long if len(each) > 3] or long
    if len(short) == 1 and long == [f"-{short[0]}"]:
        long = []
    if parameter.shape in ("flag", "count"):
        has_negation = bool(parameter.negations) and parameter.default is True
        long = [f"--[no-]{each[2:]}" if has_negation and each.startswith("--") else each for each in long]
        return ", ".join([*short, *long])
    metavar = parameter.metavar or "TEXT"
    joined = f"[={metavar}]" if parameter.shape == "maybe" else f"={metavar}"
    return ", ".join([*(f"{each} {metavar}" if not long else each for each in short), *(each + joined for each in long)])


def help_of(parameter: Parameter) -> str:
    notes = []
    if parameter.choices and "|".join(parameter.choices) != parameter.metavar:
        notes.append("one of " + ", ".join(parameter.choices))
    if parameter.comma:
        notes.append("separated by commas")
    elif parameter.shape in ("many", "pairs") and not parameter.is_positional:
        notes.append("may be repeated")
    if parameter.is_required and not parameter.is_positional:
        notes.append("required")
    default = default_text(parameter)
    if default:
        notes.append(f"default: {default}")
    return f"{parameter.help} ({'; '.join(notes)})".strip() if notes else parameter.help


def default_text(parameter: Parameter) -> str:
    default = parameter.default
    if default is MISSING or default is None or default is False or default == "" or default == 0:
        return "0" if default == 0 and default is not False and parameter.shape == "one" else ""
    if parameter.shape in ("rest", "unknown", "count") or default is True:
        return ""
    if isinstance(default, list | tuple | set | frozenset):
        return ",".join(str(each) for each in default)
    if isinstance(default, dict):
        return ",".join(f"{key}={value}" for key, value in default.items())
    value = getattr(default, "value", None)
    return str(value if isinstance(value, str) and parameter.choices else default)


def table(rows: Sequence[tuple[str, str]], width: int, indent: int = 2) -> str:
    """Two columns, the second one wrapped to the width."""
    left = min(max((len(row[0]) for row in rows), default=0), _WIDEST_LEFT)
    start = indent + left + _GAP
    room = max(width - start, 20)
    lines: list[str] = []
    for name, text in rows:
        wrapped = wrap(text, room)
        head = " " * indent + name
        if not text:
            lines.append(head)
            continue
        if len(name) > left:
            lines.append(head)
        else:
            lines.append(head.ljust(start) + wrapped.pop(0))
        lines.extend(" " * start + each for each in wrapped)
    return "\n".join(lines)


def wrap(text: str, width: int, hang: int = 0) -> list[str]:
    """Break a text between words; a word longer than a line stays whole."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        room = width - (hang if lines else 0)
        if line and len(line) + 1 + len(word) > room:
            lines.append((" " * hang if lines else "") + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append((" " * hang if lines else "") + line)
    return lines
