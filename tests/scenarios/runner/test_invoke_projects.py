"""Ten projects whose task files import Invoke and know nothing of us run as they are.

What each line prints and which programs it calls is what Invoke 3.0.3 itself does with the same files (but for `unlock`,
where Invoke cannot answer a question once its own input has ended). Programs are stubs that note how, where and with
which of some variables they were called, and answer what a project needs.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parent / "invoke_projects"
PROGRAMS = (
    "pytest", "python", "git", "twine", "sphinx-build", "xdg-open", "flake8", "mypy", "cmake", "make", "flasher", "curl",
    "jupyter", "terraform", "vault", "sudo", "webpack", "docker", "ruff", "black", "kubectl", "host", "pip",
)  # fmt: skip
STUB = """\
#!/bin/sh
here="${{PWD#{folder}}}"
line="{name} $*"
for variable in DJANGO_SETTINGS_MODULE PYTHONHASHSEED TF_WORKSPACE TF_VAR_region; do
    eval "value=\\${{$variable-}}"
    [ -n "$value" ] && line="$variable=$value $line"
done
echo "${{here:+$here: }}$line" >> {folder}/calls
[ -f {folder}/answers/{name} ] && . {folder}/answers/{name}
exit 0
"""


@dataclass(frozen=True)
class Line:
    """One command line in one project, and what came of it."""

    project: str
    words: str
    calls: tuple[str, ...] = ()
    out: str = ""
    status: int = 0
    answers: dict[str, str] = field(default_factory=dict)  # what stubs do, in shell
    typed: str = ""
    files: dict[str, str] = field(default_factory=dict)


VERSION = {"sturdy/__init__.py": '__version__ = "1.4.2"\n'}
ON_MAIN = {"git": 'case "$1" in rev-parse) echo main ;; esac'}
FLAKY = {"flasher": "[ -f {folder}/once ] && exit 0; touch {folder}/once; exit 5"}
TABLE = '{{"url": {{"value": "https://x"}}, "ip": {{"value": "10.0.0.1"}}}}'
OUTPUTS = {"terraform": f"case \"$1\" in output) echo '{TABLE}' ;; esac"}
VAULT = {"vault": "printf 'Vault password: '; read word; [ \"$word\" = 'open sesame' ] && echo welcome"}
DENIED = {"docker": 'case "$1" in login) printf "Password: "; read word; echo denied >&2; echo denied; sleep 60 ;; esac'}
LET_IN = {"docker": 'case "$1" in login) printf "Password: "; read word; [ "$word" = secret ] || exit 1 ;; esac'}
D = "DJANGO_SETTINGS_MODULE=site.settings.local python manage.py"

LINES = [
    Line("library", "test", ("PYTHONHASHSEED=0 pytest ",), files=VERSION),
    Line("library", "test -v -k fast --cov", (
        "PYTHONHASHSEED=0 pytest -v -k fast --cov sturdy --cov-report=term-missing",)),
    Line("library", "bump --part=minor --dry-run", out="1.4.2 -> 1.5.0\n", files=VERSION),
    Line("library", "bump -p nosuch", status=1, files=VERSION),
    Line("library", "release --repository pypi", (
        "PYTHONHASHSEED=0 pytest ", "python -m build --sdist --wheel", "git rev-parse --abbrev-ref HEAD",
        "git tag -a v1.4.2 -m Release 1.4.2", "twine upload --repository pypi dist/*"), answers=ON_MAIN, files=VERSION),
    Line("library", "release", (
        "PYTHONHASHSEED=0 pytest ", "python -m build --sdist --wheel", "git rev-parse --abbrev-ref HEAD"), status=3),
    Line("django_site", "", (f"{D} runserver 127.0.0.1:8000",)),
    Line("django_site", "serve --port 9000 -h 0.0.0.0", (f"{D} runserver 0.0.0.0:9000",)),
    Line("django_site", "mm --check m", (f"{D} makemigrations --check --dry-run", f"{D} migrate")),
    Line("django_site", "load --fixture a --fixture b", (f"{D} loaddata a", f"{D} loaddata b"),
         "\033[1;37mpython manage.py loaddata a\033[0m\n\033[1;37mpython manage.py loaddata b\033[0m\n"),
    Line("django_site", "test app -vv", status=1),
    Line("django_site", "test -p app -vv --no-keepdb", (f"{D} test app -v2",)),
    Line("django_site", "test", (f"{D} test -v0 --keepdb",), "tests failed: 7\n", 7, {"python": "exit 7"}),
    Line("django_site", "reset-db", (), "Really? [y/N] ", 1, typed="n\n"),
    Line("django_site", "reset-db --yes", (f"{D} migrate", f"{D} loaddata users"),
         "\033[1;37mpython manage.py loaddata users\033[0m\n", files={"db/site.sqlite3": ""}),
    Line("docs_package", "docs", ("sphinx-build -b html -j 1 manual public/html",)),
    Line("docs_package", "docs.build --builder=epub -j 4", ("sphinx-build -b epub -j 4 manual public/epub",)),
    Line("docs_package", "docs.browse", (
        "sphinx-build -b html -j 1 manual public/html", "xdg-open public/html/index.html")),
    Line("docs_package", "check.types check.style", ("mypy src", "flake8 --strict")),
    Line("docs_package", "all-of-it", (
        "flake8 --strict", "sphinx-build -b latex -j 1 manual public/latex",
        "sphinx-build -b html -j 1 manual public/html"), "done\n"),
    Line("firmware", "configure feather --define=X=1", (
        "/build/feather: cmake ../.. -DBOARD=feather -DCMAKE_BUILD_TYPE=Release -DX=1",)),
    Line("firmware", "configure toaster", status=1),
    Line("firmware", "build all -j 3", ("/build/feather: make -j3", "/build/nucleo: make -j3")),
    Line("firmware", "build nucleo", ("/build/nucleo: make -j1",)),
    Line("firmware", "flash feather", ("flasher --port /dev/ttyACM0 build/feather/firmware.bin",) * 2,
         "attempt 1 failed with 5\n", answers=FLAKY),
    Line("firmware", "flash feather --tries 1", ("flasher --port /dev/ttyACM0 build/feather/firmware.bin",),
         "attempt 1 failed with 5\n", 5, FLAKY),
    Line("firmware", "info", ("cmake --version",), "Linux\ncmake version 3.25\n", answers={
        "cmake": "echo cmake version 3.25"}),
    Line("analysis", "data.download -d iris --dataset wine data.download -d iris", (
        "curl -sSL https://data.example.org/iris.csv -o data/raw/iris.csv",
        "curl -sSL https://data.example.org/wine.csv -o data/raw/wine.csv"), "data/raw/iris.csv is there\n"),
    Line("analysis", "train --model tree -e 3 --rate=0.5 -vv", (
        "python scripts/clean.py data/raw/a.csv data/clean/a.csv",
        "python scripts/train.py --model tree --epochs 3 --rate 0.5 -v -v"), files={"data/raw/a.csv": ""}),
    Line("analysis", "report --day=2026-01-02", out="reports/2026-01-02.html\n"),
    Line("analysis", "notebook --no-browser", ("jupyter lab --port=8888 --no-browser",)),
    Line("infrastructure", "plan", (
        "/terraform: TF_WORKSPACE=staging terraform plan -var region=eu-west-1 -var replicas=1",),
        files={"terraform/x": ""}),
    Line("infrastructure", "apply --env production", (
        "/terraform: TF_WORKSPACE=staging terraform plan -var region=eu-west-1 -var replicas=1",),
        "Apply to production? ", 1, typed="no\n", files={"terraform/x": ""}),
    Line("infrastructure", "apply -e production --auto-approve", (
        "/terraform: TF_WORKSPACE=staging terraform plan -var region=eu-west-1 -var replicas=1",
        "TF_VAR_region=eu-central-1 TF_WORKSPACE=production terraform apply -auto-approve"), files={"terraform/x": ""}),
    Line("infrastructure", "plan -e nosuch", status=1),
    Line("infrastructure", "unlock", ("vault unlock",), "unlocked\n", answers=VAULT),
    Line("infrastructure", "outputs", ("TF_WORKSPACE=staging terraform output -json",),
         "ip        10.0.0.1\nurl       https://x\n", answers=OUTPUTS),
    Line("infrastructure", "hosts", ("sudo -S -p [sudo] password:  -H -u deploy systemctl restart nginx",)),
    Line("monorepo", "test --no-parallel", tuple(f"/{name}: pytest -q {name}" for name in ("core", "api", "web")),
         files={"core/x": "", "api/x": "", "web/x": ""}),
    Line("monorepo", "test --since=main", ("git diff --name-only main", "pytest -q api"), answers={
        "git": "echo api/x.py; echo README"}),
    Line("monorepo", "test", ("pytest -q api", "pytest -q core", "pytest -q web"), status=1, answers={
        "pytest": '[ "$2" = core ] && exit 2'}),
    Line("monorepo", "watch", ("python -m api.server", "webpack --watch")),
    Line("monorepo", "deploy api -t v2", (
        "docker build -t registry.example.org/api:v2 api", "docker push registry.example.org/api:v2")),
    Line("monorepo", "deploy --no-push web", ("docker build -t registry.example.org/web:latest web",)),
    Line("typed", "lint --only mypy --fix", ("mypy . --fix",), "0 failed\n"),
    Line("typed", "lint", ("ruff check .", "mypy .", "black --check ."), "1 failed: black\n", 1, {"black": "exit 1"}),
    Line("typed", "scale web --count 3 --no-wait", ("kubectl scale deployment/web --replicas=3",), "int float False\n"),
    Line("typed", "logs web --follow", ("kubectl logs deployment/web -f",)),
    Line("containers", "up --scale=web=2", (
        "docker info", "docker compose -f compose.yml -f compose.dev.yml up -d --scale web=2", "docker system prune -f"),
        "docker: fine (strict)\n"),
    Line("containers", "up", ("docker info",), "docker: status 1\n", 1, {"docker": "exit 1"}),
    Line("containers", "daemon.check", ("docker info",), "docker: status 1\n", answers={"docker": "exit 1"}),
    Line("containers", "wait down -v", (
        "docker compose -f compose.yml -f compose.dev.yml ps --status running web",
        "docker compose -f compose.yml -f compose.dev.yml down -v"), "healthy\nweb\n", answers={"docker": "echo web"}),
    Line("containers", "login", ("docker login -u me",), "in\n", answers=LET_IN),
    Line("containers", "login -u you", ("docker login -u you",), status=1, answers=DENIED),
    Line("plugin", "self-test", out="exit: no version in 'nothing' 1\nfine\n"),
    Line("plugin", "install -e", ("pip install -e .",)),
    Line("plugin", "everything", ("host --version", "pip install -e ."),
         "[('version', '4.2'), ('install-plugin', None)]\n", answers={"host": "echo host 4.2"}),
    Line("plugin", "wrong", out="parse error: made up\n"),
]  # fmt: skip


@pytest.fixture
def stubbed(project):
    for name in PROGRAMS:
        text = STUB.format(name=name, folder=project.folder)
        (project.folder / "bin").mkdir(exist_ok=True)
        path = project.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    return project


def prepare(line: Line, folder: Path) -> None:
    """The project's files, and what its stubs answer."""
    shutil.copytree(PROJECTS / line.project, folder, dirs_exist_ok=True)
    for name, text in line.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "answers").mkdir()
    for name, text in line.answers.items():
        (folder / "answers" / name).write_text(text.format(folder=folder))


def calls_of(folder: Path, line: Line) -> list[str]:
    path = folder / "calls"
    found = path.read_text().splitlines() if path.exists() else []
    return sorted(found) if line.project == "monorepo" and line.words in ("test", "watch") else found  # at the same time


def test_there_are_ten_projects():
    assert sorted(path.name for path in PROJECTS.iterdir()) == sorted({line.project for line in LINES})
    assert len({line.project for line in LINES}) == 10


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.project} {line.words}".strip())
def test_a_task_file_for_invoke_does_the_same_here(stubbed, line):
    prepare(line, stubbed.folder)
    env = {"PATH": f"{stubbed.folder}/bin{os.pathsep}{os.environ['PATH']}"}
    found = stubbed.fa(*line.words.split(), env=env, feed=line.typed or None)
    assert (found.stdout, found.status) == (line.out, line.status), found.stderr
    assert calls_of(stubbed.folder, line) == list(line.calls)
