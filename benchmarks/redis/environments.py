"""The peers' environments: one for each, made from the package index when it is not there, and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from benchmarks.redis.contenders import Contender


class NotInstalled(Exception):
    """Its environment could not be made; the text says why."""


def python_of(contender: Contender, folder: Path, say: Callable[[str], None], *, make: bool = True) -> str:
    """Return the interpreter of its environment. Raises NotInstalled; with `make` off, also where there is none yet."""
    if not contender.packages:
        return sys.executable
    home = folder / contender.module.rpartition(".")[2]
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = "\n".join(contender.packages)
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return str(python)
    if not make:
        raise NotInstalled("its environment is not there yet")
    base = _interpreter(contender.python)
    say(f"setting up {contender.name} ...")
    if base == sys.executable:
        venv.create(home, symlinks=True, clear=True)
    else:
        subprocess.run([base, "-m", "venv", "--clear", str(home)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    try:
        answer = subprocess.run([*pip, *contender.packages], capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        raise NotInstalled("its installation took longer than 400 s") from None
    if answer.returncode:
        errors = [line for line in answer.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalled((errors or ["pip failed"])[-1].removeprefix("ERROR: "))
    stamp.write_text(wanted)
    return str(python)


def versions(python: str, contender: Contender) -> dict[str, str]:
    """Return the versions of the packages that were asked for."""
    names = [package.partition("[")[0] for package in contender.packages] or ["hiredis", "msgspec", "uvloop"]
    code = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
    answer = subprocess.run([python, "-c", code, *names], capture_output=True, text=True)
    return dict(zip(names, answer.stdout.split(), strict=False))


def _interpreter(least: tuple[int, int]) -> str:
    """Return an interpreter that is new enough; FAENA_BENCH_PYTHON may name one."""
    if sys.version_info >= least:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(least[1], least[1] + 3)]
    managed = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    beside = sorted(str(found) for name in names for found in managed.glob(f"*/bin/{name}"))
    for candidate in (os.environ.get("FAENA_BENCH_PYTHON"), *map(shutil.which, names), *beside):
        code = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {least})"
        if candidate and subprocess.run([candidate, "-c", code], capture_output=True).returncode == 0:
            return candidate
    raise NotInstalled(f"it needs Python {least[0]}.{least[1]}, and none was found (FAENA_BENCH_PYTHON may name one)")
