"""Everyday task files, as a team wrote them down for Invoke: nothing but the import line is ours.

Programs are stubs that note how they were called.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "everyday"
PROGRAMS = (
    "pytest", "ansible-playbook", "docker-compose", "docker", "python", "npm", "flake8", "black", "mypy", "bandit",
    "safety", "git", "aws", "kubectl", "kaggle", "unzip", "sphinx-build", "cp",
)  # fmt: skip
QUEUE = '''
"""Stands for a queue: notes what is sent."""

def note(*words):
    with open("calls", "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

class app:
    @staticmethod
    def send_task(name):
        note("sent", name)

class Signature:
    def __init__(self, name):
        self.name = name

    def s(self):
        return self.name

process_raw_data, train_models, evaluate_results = map(Signature, ("process", "train", "evaluate"))

class chain:
    def __init__(self, *names):
        self.names = names

    def delay(self):
        note("chain", *self.names)
'''
LINES: list[tuple[str, str, list[str]]] = [
    ("basics", "test", ["pytest tests/"]),
    ("basics", "test --coverage", ["pytest tests/ --cov=app"]),
    ("basics", "deploy", ["ansible-playbook deploy.yml -i staging"]),
    ("basics", "deploy --environment=production", ["ansible-playbook deploy.yml -i production"]),
    ("basics", "setup", ["pytest tests/", "docker-compose build", "docker-compose up -d"]),
    ("development", "dev-server --port=9000", ["python manage.py runserver 9000"]),
    ("development", "dev-server", ["python manage.py runserver 8000"]),
    ("development", "migrations seed-data", [
        "python manage.py makemigrations", "python manage.py migrate", "python manage.py loaddata fixtures/a.json"]),
    ("build", "build-frontend", ["npm run build", "python manage.py collectstatic --noinput"]),
    ("build", "build-docker -t v2", [
        "docker build -t myapp:v2 .", "docker tag myapp:v2 registry.company.com/myapp:v2"]),
    ("pipeline", "ci-full", [
        "pytest tests/", "flake8 app/", "black --check app/", "mypy app/", "bandit -r app/", "safety check",
        "docker build -t myapp:latest .", "docker tag myapp:latest registry.company.com/myapp:latest",
        "docker push myapp:latest"]),
    ("dependencies", "build", ["python setup.py sdist bdist_wheel"]),
    ("dependencies", "release", ["git tag v1.0.0", "git push --tags", "python setup.py sdist bdist_wheel"]),
    ("conditional", "deploy", ["ansible-playbook deploy-staging.yml"]),
    ("conditional", "deploy -e qa", ["ansible-playbook deploy-qa.yml"]),
    ("containers", "docker-compose", ["docker-compose up -d"]),
    ("containers", "docker-compose --command=build docker-compose -c logs", [
        "docker-compose build", "docker-compose logs -f"]),
    ("containers", "docker-compose -c down db-migrate", [
        "docker-compose down", "docker-compose exec web python manage.py migrate"]),
    ("cloud", "deploy-aws --stack-name=shop", [
        "aws cloudformation deploy --stack-name shop --template-file template.yml", "aws s3 sync dist/ s3://shop-bucket/"]),
    ("cloud", "kubernetes-deploy -n qa", [
        "kubectl apply -f k8s/ -n qa", "kubectl rollout status deployment/app -n qa"]),
    ("data_science", "download-dataset iris", ["kaggle datasets download iris", "unzip iris.zip"]),
    ("data_science", "train-model --model-type=tree evaluate-model", [
        "python src/train.py --model tree", "python src/evaluate.py", "python src/generate_metrics.py"]),
    ("documentation", "docs-build docs-serve -p 1234", [
        "sphinx-build docs/ build/docs", "cp -r build/docs/ public/", "python -m http.server 1234 --directory public/"]),
    ("naming", "database-backup deploy-staging run-migrations", []),
    ("errors", "safe-deploy", ["git pull origin main", "docker-compose build", "docker-compose up -d"]),
    ("maintenance", "schedule-maintenance", [
        "python manage.py collectstatic --noinput", "sent cleanup_old_files", "sent generate_reports",
        "sent update_search_index"]),
    ("hybrid", "data-pipeline", [
        "python scripts/download_data.py", "python scripts/validate_schema.py", "chain process train evaluate"]),
]  # fmt: skip


@pytest.fixture
def everyday(project):
    for name in PROGRAMS:
        project.write(f"bin/{name}", f'#!/bin/sh\necho "{name} $*" >> {project.folder}/calls\n').chmod(0o755)
    project.write("celery_app.py", QUEUE)
    project.write("fixtures/a.json", "")

    def run(name: str, *words: str, **more):
        shutil.copy(FOLDER / f"{name}.py", project.folder / "tasks.py")
        env = {"PATH": f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}"}
        return project.fa(*words, env=env, **more)

    run.folder = project.folder
    return run


def calls_of(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_every_file_is_run():
    elsewhere = {"parallel", "configuration"}
    assert {path.stem for path in FOLDER.glob("*.py")} == {name for name, _, _ in LINES} | elsewhere


@pytest.mark.parametrize(("name", "line", "calls"), LINES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_line_calls_these_programs(everyday, name, line, calls):
    found = everyday(name, *line.split())
    assert (found.stderr, found.status) == ("", 0)
    assert calls_of(everyday.folder) == calls


def test_commands_at_the_same_time_are_all_over_when_the_task_is(everyday):
    assert everyday("parallel", "test-parallel").status == 0
    assert sorted(calls_of(everyday.folder)) == ["pytest tests/api/", "pytest tests/integration/", "pytest tests/unit/"]


@pytest.mark.parametrize(("typed", "calls"), [("y\n", ["ansible-playbook deploy-production.yml"]), ("n\n", [])])
def test_a_prompt_is_answered_from_the_input(everyday, typed, calls):
    found = everyday("conditional", "deploy", "--environment", "production", feed=typed)
    assert (found.stdout, found.status) == ("¿Desplegar a producción? (y/n): ", 0)
    assert calls_of(everyday.folder) == calls


def test_a_failed_deployment_is_rolled_back_and_its_status_is_that_of_the_command(everyday):
    (everyday.folder / "bin" / "docker-compose").write_text(
        f'#!/bin/sh\necho "docker-compose $*" >> {everyday.folder}/calls\n[ "$1" != build ] || exit 5\n'
    )
    found = everyday("errors", "safe-deploy")
    assert found.stdout.startswith("❌ Error en despliegue: ")
    assert found.stderr == "fa: task 'safe-deploy': command failed with status 5: docker-compose build\n"
    assert found.status == 5
    assert calls_of(everyday.folder) == ["git pull origin main", "docker-compose build", "docker-compose down"]


@pytest.mark.parametrize(("words", "url"), [((), "sqlite:///dev.db"), (("--env=prod",), "postgresql://...")])
def test_a_configuration_by_environment_reaches_the_command(everyday, words, url):
    stub = f'#!/bin/sh\necho "$DATABASE_URL python $*" >> {everyday.folder}/calls\n'
    (everyday.folder / "bin" / "python").write_text(stub)
    assert everyday("configuration", "run-app", *words).status == 0
    assert calls_of(everyday.folder) == [f"{url} python app.py"]


def test_good_and_bad_names_are_told_apart(everyday):
    assert everyday("naming", "-l").stderr == (
        "fa: 'do-stuff', 'thing': a name that says what is done helps more, such as 'database-backup'\n"
    )
