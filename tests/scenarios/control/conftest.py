"""Workers that are told what to do, and asked: on SQLite and on Redis, through the API and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from uuid import uuid4

import pytest

from faena.testing.redis_server import RedisServer, redis_server_binary


def let_go(site, *names):
    for name in names:
        (site.folder / f"go-{name}").touch()


def faena(site, *words):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
    return subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", *words], cwd=site.folder, text=True,
        env={**environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
    )  # fmt: skip


def present(site, until, *words):
    """Start a worker, and wait until others can see it."""
    before = len(site.client.control.workers())
    worker = site.worker(*words)
    until(lambda: len(site.client.control.workers()) > before)
    return worker


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def any_site(request, site):
    """A site on either."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        site.url = f"{url}?prefix=n{uuid4().hex[:8]}"
    return site
