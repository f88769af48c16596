"""The projects that are measured, written for each tool in its own way of saying the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

TARGETS = 10_000
COMMANDS = 1_000
NODES = 10_000
TARGET_TOOLS = ("fa", "make", "ninja", "doit", "rake", "scons", "go-task")


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
    recipes = "".join(f"{name}:\n    @true\n" for name in names)
    write(folder / "just/justfile", f"noop:\n{recipes}")
    tasks = "".join(f"  {name}:\n    cmds: ['true']\n" for name in names)
    write(folder / "go-task/Taskfile.yml", f"version: '3'\nsilent: true\ntasks:\n  noop:\n    cmds: []\n{tasks}")
    blocks = "".join(f"task :{name} do\n  sh 'true'\nend\n" for name in names)
    write(folder / "rake/Rakefile", f"task :noop\n{blocks}")
    scripts_of_npm = {"noop": ":", **dict.fromkeys(names, "true")}
    write(folder / "npm/package.json", json.dumps({"name": "x", "version": "1.0.0", "scripts": scripts_of_npm}))


def targets(folder: Path) -> None:
    """10,000 files, each made of another."""
    for tool in TARGET_TOOLS:
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
    names = [f"f{number:05}" for number in range(TARGETS)]
    edges = "".join(f"build out/{name}.out: copy src/{name}.txt\n" for name in names)
    listed = " ".join(f"out/{name}.out" for name in names)
    write(folder / "ninja/build.ninja", f"rule copy\n  command = cp $in $out\n{edges}build build: phony {listed}\n")
    write(
        folder / "doit/dodo.py",
        "import glob\n\ndef make(source, target):\n    open(target, 'w').write(source)\n\n"
        "def task_build():\n    for path in glob.glob('src/*.txt'):\n"
        "        out = 'out' + path[3:-4] + '.out'\n"
        "        yield {'name': path, 'file_dep': [path], 'targets': [out], 'actions': [(make, [path, out])],\n"
        "               'verbosity': 0}\n",
    )
    write(
        folder / "rake/Rakefile",
        "targets = Dir['src/*.txt'].map do |source|\n  target = source.sub('src/', 'out/').sub('.txt', '.out')\n"
        "  file(target => source) { File.write(target, source) }\n  target\nend\ntask :build => targets\n",
    )
    write(
        folder / "scons/SConstruct",
        "import glob\n\ndef make(target, source, env):\n    open(str(target[0]), 'w').write(str(source[0]))\n\n"
        "env = Environment(ENV={})\nenv.Alias('build', [\n"
        "    env.Command('out' + path[3:-4] + '.out', path, Action(make, 'x')) for path in glob.glob('src/*.txt')])\n",
    )
    rows = "".join(
        f"  {name}:\n    sources: [src/{name}.txt]\n    generates: [out/{name}.out]\n"
        f"    cmds: ['echo x > out/{name}.out']\n"
        for name in names
    )
    write(
        folder / "go-task/Taskfile.yml",
        f"version: '3'\nsilent: true\ntasks:\n  build:\n    deps: [{', '.join(names)}]\n{rows}",
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
    listed = " ".join(names)
    text = "".join(f"\n@task\ndef {name}(c):\n    c.run('true')\n" for name in names)
    write(
        folder / "fa/tasks.py", f"from faena import task\n{text}\n@task(needs=[{','.join(names)}])\ndef all(c):\n    pass\n"
    )
    write(folder / "make/Makefile", f".PHONY: all {listed}\nall: {listed}\n{listed}:\n\t@true\n")
    edges = "".join(f"build {name}: run\n" for name in names)
    write(folder / "ninja/build.ninja", f"rule run\n  command = true\n{edges}build all: phony {listed}\n")
    write(
        folder / "doit/dodo.py",
        f"def task_all():\n    for number in range({COMMANDS}):\n"
        "        yield {'name': str(number), 'actions': ['true'], 'verbosity': 0}\n",
    )
    blocks = "".join(f"task(:{name}) {{ sh 'true', verbose: false }}\n" for name in names)
    write(folder / "rake/Rakefile", f"{blocks}multitask :all => %i[{listed}]\n")
    rows = "".join(f"  {name}:\n    cmds: ['/bin/true']\n" for name in names)
    write(
        folder / "go-task/Taskfile.yml",
        f"version: '3'\nsilent: true\ntasks:\n  all:\n    deps: [{', '.join(names)}]\n{rows}",
    )
    recipes = "".join(f"{name}:\n    @true\n" for name in names)
    write(folder / "just/justfile", f"all: {listed}\n{recipes}")
    text = "".join(f"\n@task\ndef {name}(c):\n    c.run('true')\n" for name in names)
    write(folder / "invoke/tasks.py", f"from invoke import task\n{text}\n@task({','.join(names)})\ndef all(c):\n    pass\n")


def _tasks_of(rows: list[list[int]]) -> str:
    return (
        f"from faena import task\n\nNEEDS = {rows!r}\n\ndef node(number, needs):\n    def body(c):\n        pass\n"
        "    return task(name=f't{number}', needs=needs)(body)\n\nnodes = []\nfor number, needs in enumerate(NEEDS):\n"
        "    nodes.append(node(number, [nodes[each] for each in needs]))\n\n"
        "@task(needs=nodes)\ndef all(c):\n    pass\n"
    )


def graph(folder: Path) -> None:
    """10,000 empty tasks, each needing up to three of those before it."""
    chance = random.Random(1)
    rows = [sorted({chance.randrange(node) for _ in range(3)}) if node else [] for node in range(NODES)]
    write(folder / "fa/tasks.py", _tasks_of(rows))
    rules = "".join(f"t{node}: {' '.join(f't{each}' for each in needs)}\n\t@:\n" for node, needs in enumerate(rows))
    listed = " ".join(f"t{node}" for node in range(NODES))
    write(folder / "make/Makefile", f".PHONY: all {listed}\nall: {listed}\n{rules.replace(chr(9) + '@:' + chr(10), '')}")
    write(
        folder / "doit/dodo.py",
        f"NEEDS = {rows!r}\n\ndef task_all():\n    for number, needs in enumerate(NEEDS):\n"
        "        yield {'name': str(number), 'actions': [], 'task_dep': [f'all:{each}' for each in needs]}\n",
    )


def diamonds(folder: Path, layers: int) -> None:
    """Layers of two tasks, each needing both of the layer before: 2 to the power of `layers` paths."""
    rows: list[list[int]] = [[], []]
    for layer in range(1, layers):
        rows += [[2 * layer - 2, 2 * layer - 1]] * 2
    write(folder / "fa/tasks.py", _tasks_of(rows))
