"""The projects that are measured, written for each tool in its own way of saying the same."""

from __future__ import annotations

import random
from pathlib import Path

TARGETS = 10_000
COMMANDS = 1_000
NODES = 10_000


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def startup(folder: Path, count: int) -> None:
    """`count` tasks, the one called `noop` empty."""
    names = [f"task{number}" for number in range(count - 1)]
    for module, path in (("faena", "fa/tasks.py"), ("invoke", "invoke/tasks.py")):
        body = "".join(f"\n@task\ndef {name}(c, name='x'):\n    'Task {name}.'\n    c.run('true')\n" for name in names)
        write(folder / path, f"from {module} import task\n\n@task\ndef noop(c):\n    pass\n{body}")
    bodies = "".join(f"def task_{name}():\n    return {{'actions': ['true']}}\n" for name in names)
    write(folder / "doit/dodo.py", f"def task_noop():\n    return {{'actions': [], 'verbosity': 0}}\n{bodies}")
    sessions = "".join(f"@nox.session(python=False)\ndef {name}(s):\n    s.run('true')\n" for name in names)
    write(folder / "nox/noxfile.py", f"import nox\n@nox.session(python=False)\ndef noop(s):\n    pass\n{sessions}")
    scripts = "".join(f'{name} = "true"\n' for name in names)
    write(folder / "poe/pyproject.toml", f'[tool.poe.tasks]\nnoop = {{ expr = "1" }}\n{scripts}')
    rules = "".join(f"{name}:\n\t@true\n" for name in names)
    write(folder / "make/Makefile", f".PHONY: noop {' '.join(names)}\nnoop:\n\t@:\n{rules}")


def targets(folder: Path) -> None:
    """10,000 files, each made of another."""
    for tool in ("fa", "make", "doit"):
        for number in range(TARGETS):
            write(folder / tool / f"src/f{number:05}.txt", str(number))
        (folder / tool / "out").mkdir()
    write(
        folder / "fa/tasks.py",
        "from faena import task\n\n@task(each='src/*.txt', outputs='out/{stem}.out')\n"
        "def build(c, source, output):\n    with open(output, 'w') as file:\n        file.write(source)\n",
    )
    write(
        folder / "make/Makefile",
        "T := $(patsubst src/%.txt,out/%.out,$(wildcard src/*.txt))\nbuild: $(T)\n.PHONY: build\n"
        "out/%.out: src/%.txt\n\t@echo x > $@\n",
    )
    write(
        folder / "doit/dodo.py",
        "import glob\n\ndef make(source, target):\n    open(target, 'w').write(source)\n\n"
        "def task_build():\n    for path in glob.glob('src/*.txt'):\n"
        "        out = 'out' + path[3:-4] + '.out'\n"
        "        yield {'name': path, 'file_dep': [path], 'targets': [out], 'actions': [(make, [path, out])],\n"
        "               'verbosity': 0}\n",
    )
    write(
        folder / "floor/floor.py",
        "import marshal, os\nstat = os.stat\n"
        "for source, (target, one, two) in marshal.load(open('cache', 'rb')).items():\n"
        "    if stat(source).st_mtime_ns != one or stat(target).st_mtime_ns != two:\n        print(target)\n",
    )


def commands(folder: Path) -> None:
    """1,000 commands that do nothing and do not wait for one another."""
    names = [f"t{number}" for number in range(COMMANDS)]
    text = "".join(f"\n@task\ndef {name}(c):\n    c.run('true')\n" for name in names)
    write(
        folder / "fa/tasks.py", f"from faena import task\n{text}\n@task(needs=[{','.join(names)}])\ndef all(c):\n    pass\n"
    )
    listed = " ".join(names)
    write(folder / "make/Makefile", f".PHONY: all {listed}\nall: {listed}\n{listed}:\n\t@true\n")


def graph(folder: Path) -> None:
    """10,000 empty tasks, each needing up to three of those before it."""
    chance = random.Random(1)
    rows = [sorted({chance.randrange(node) for _ in range(3)}) if node else [] for node in range(NODES)]
    write(
        folder / "fa/tasks.py",
        f"from faena import task\n\nNEEDS = {rows!r}\n\ndef node(number, needs):\n    def body(c):\n        pass\n"
        "    return task(name=f't{number}', needs=needs)(body)\n\nnodes = []\nfor number, needs in enumerate(NEEDS):\n"
        "    nodes.append(node(number, [nodes[each] for each in needs]))\n\n"
        "@task(needs=nodes)\ndef all(c):\n    pass\n",
    )
