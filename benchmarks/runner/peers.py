"""The tools that `fa` is measured against, each in an environment of its own.

DIR/doit/bin/doit     what is on the package index has a virtual environment each, which `set_up` makes
make, ninja, rake     come from the system, and are looked for on the PATH
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool: its program, and the package of the index that has it (none: the system's)."""

    name: str
    program: str
    package: str = ""
    version_words: tuple[str, ...] = ("--version",)


PEERS = (
    Peer("fa", "fa", str(ROOT)),
    Peer("make", "make"),
    Peer("ninja", "ninja"),
    Peer("rake", "rake"),
    Peer("npm", "npm"),
    Peer("invoke", "inv", "invoke"),
    Peer("doit", "doit", "doit"),
    Peer("nox", "nox", "nox"),
    Peer("poe", "poe", "poethepoet"),
    Peer("scons", "scons", "scons"),
    Peer("go-task", "task", "go-task-bin"),
    Peer("just", "just", "rust-just"),
)


def set_up(folder: Path) -> None:
    """Make the environments that are missing, and `fa`'s anew; one that cannot be made is told about."""
    for peer in PEERS:
        home = folder / peer.name
        if not peer.package or (peer.name != "fa" and (home / "bin" / peer.program).exists()):
            continue
        print(f"setting up {peer.name} in {home}", flush=True)
        words = [str(home / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        again = ["--force-reinstall", "--no-deps"] if (home / "bin" / "fa").exists() else []
        try:
            if not home.exists():
                subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
                # the start scripts that older ones write import `re`, which takes as long as some of the tools
                subprocess.run([*words, "--upgrade", "pip>=25.1"], check=True)
            subprocess.run([*words, *again, peer.package], check=True)
        except subprocess.CalledProcessError as error:
            print(f"  it cannot be had here: {error}")


def find(folder: Path) -> dict[str, str]:
    """The programs that are there, by the peer's name. `fa` and Python are those of DIR, else the ones that run this."""
    found = {}
    for peer in PEERS:
        own = folder / peer.name / "bin" / peer.program
        path = str(own) if own.exists() else shutil.which(peer.program) if not peer.package else None
        if path is not None:
            found[peer.name] = path
    found.setdefault("fa", str(Path(sys.executable).parent / "fa"))
    found["python"] = str(Path(found["fa"]).parent / "python")
    return found


def versions_of(programs: dict[str, str]) -> dict[str, str]:
    """What each tool calls its version."""
    found = {}
    for name, path in programs.items():
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, env=clean_environment())
        numbers = re.search(r"\d+(\.\d+)+[\w.+]*", done.stdout + done.stderr)
        found[name] = numbers[0] if numbers else "unknown"
    return found


def missing(programs: dict[str, str]) -> list[str]:
    return [peer.name for peer in PEERS if peer.name not in programs]


def clean_environment() -> dict[str, str]:
    """The environment without what keeps Python from using byte code, or changes what a tool does."""
    outside = ("PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if key not in outside and not key.startswith("INVOKE_")}
