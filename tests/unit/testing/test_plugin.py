"""The pytest plugin, used as a project uses it."""

import subprocess
import sys

CONFTEST = """
import pytest
from shop import app

@pytest.fixture
def faena_source_app():
    return app
"""
SHOP = """
from faena import Faena

app = Faena("shop")
outbox = []

@app.task
def welcome(address: str) -> None:
    outbox.append(address)
"""
TESTS = """
from datetime import timedelta
from shop import outbox, welcome

def test_welcome(faena_app, faena_run):
    welcome.delay("ana@example.org")
    faena_run()
    assert outbox.pop() == "ana@example.org"

def test_later(faena_app, faena_run, faena_clock):
    welcome.apply_async(("eva@example.org",), countdown=60)
    assert faena_run() == []
    faena_clock.advance(timedelta(minutes=1))
    assert len(faena_run()) == 1
    assert outbox.pop() == "eva@example.org"

def test_beside(faena_worker):
    welcome.delay("leo@example.org").get(timeout=10)
    assert outbox.pop() == "leo@example.org"
"""


def test_a_project_gets_the_fixtures_by_installing_faena(tmp_path):
    for name, text in {"conftest.py": CONFTEST, "shop.py": SHOP, "test_shop.py": TESTS}.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
