"""List tasks: flat, nested, or as JSON."""

from __future__ import annotations

from faena._lib.arguments.docstring import summary_of
from faena._lib.arguments.help import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from faena.runner.collection import Collection

FORMATS = ("flat", "nested", "json")


def render_list(root: Collection, *, form: str = "flat", depth: int = 0, scope: str = "", width: int = 80) -> str:
    """The list of a collection's tasks. `scope` names the namespace that is shown, `depth` cuts it off."""
    if form == "json":
        import json

        return json.dumps(as_values(root)) + "\n"
    heading = f"Available {repr(scope) + ' ' if scope else ''}tasks"
    notes = []
    if depth:
        notes.append(f"depth={depth}")
    if form == "nested":
        notes.append("'*' denotes collection defaults")
    if notes:
        heading += f" ({'; '.join(notes)})"
    dot = "." if scope else ""
    rows = _flat_rows(root, dot, depth) if form == "flat" else _nested_rows(root, dot, depth, 0)
    text = f"{heading}:\n\n{table(rows, width)}\n"
    if root.default and form == "flat":
        text += f"\nDefault {repr(scope) + ' ' if scope else ''}task: {dot}{root.default}\n"
    return text


_VAGUE = frozenset(
    ("do", "stuff", "thing", "things", "foo", "bar", "baz", "misc", "task", "tmp", "temp", "something", "work")
)


def vague_names(root: Collection) -> list[str]:
    """Tasks whose names say nothing about what they do: `do-stuff`, `thing`."""
    return [
        name
        for name, _ in root.walk()
        if not is_private(name) and _VAGUE.issuperset(name.rpartition(".")[2].replace("_", "-").split("-"))
    ]


def is_private(name: str) -> bool:
    return name.rpartition(".")[2].startswith("_")


def _flat_rows(root: Collection, prefix: str, depth: int, level: int = 1) -> list[tuple[str, str]]:
    rows = []
    for name in sorted(root.tasks):
        if is_private(name):
            continue
        aliases = sorted(alias for alias, target in root.aliases.items() if target == name)
        shown = [f"{prefix}{alias}" for alias in aliases]
        if level > 1 and root.default == name:
            shown.insert(0, prefix.strip("."))
        extra = f" ({', '.join(shown)})" if shown else ""
        rows.append((f"{prefix}{name}{extra}", summary_of(root.tasks[name].__doc__)))
    for name in sorted(root.collections):
        sub = root.collections[name]
        if depth and level >= depth:
            rows.append((f"{prefix}{name} [{_tally(sub)}]", _words_of(sub)))
        else:
            rows.extend(_flat_rows(sub, f"{prefix}{name}.", depth, level + 1))
    return rows


def _nested_rows(root: Collection, dot: str, depth: int, level: int) -> list[tuple[str, str]]:
    rows = []
    indent = "    " * level
    for name in sorted(root.tasks):
        if is_private(name):
            continue
        aliases = sorted(alias for alias, target in root.aliases.items() if target == name)
        extra = f" ({', '.join(aliases)})" if aliases else ""
        star = "*" if root.default == name else ""
        rows.append((f"{indent}{dot if level == 0 else '.'}{name}{star}{extra}", summary_of(root.tasks[name].__doc__)))
    for name in sorted(root.collections):
        sub = root.collections[name]
        own = f"{indent}{dot if level == 0 else '.'}{name}"
        if depth and level + 1 >= depth:
            rows.append((f"{own} [{_tally(sub)}]", _words_of(sub)))
        else:
            rows.append((own, _words_of(sub)))
            rows.extend(_nested_rows(sub, dot, depth, level + 1))
    return rows if dot or level else [(name.removeprefix("."), text) for name, text in rows]


def _words_of(collection: Collection) -> str:
    """What a collection's own module says of it; the class has words, too, which are for its readers."""
    return summary_of(vars(collection).get("__doc__"))


def _tally(collection: Collection) -> str:
    tasks, collections = len(collection.tasks), len(collection.collections)
    found = [f"{tasks} task{'s' if tasks != 1 else ''}"] if tasks else []
    if collections:
        found.append(f"{collections} collection{'s' if collections != 1 else ''}")
    return ", ".join(found)


def as_values(root: Collection) -> dict[str, Any]:
    """The collection as plain values, as Invoke's JSON has them."""
    return {
        "name": root.name,
        "help": _words_of(root) or None,
        "default": root.default,
        "tasks": [
            {
                "name": name,
                "help": summary_of(task.__doc__) or None,
                "aliases": sorted(alias for alias, target in root.aliases.items() if target == name),
            }
            for name, task in sorted(root.tasks.items())
        ],
        "collections": [as_values(sub) | {"name": name} for name, sub in sorted(root.collections.items())],
    }
