"""Servers of the tests' own."""

import pytest

from faena.testing.redis_server import RedisServer, redis_server_binary


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()
