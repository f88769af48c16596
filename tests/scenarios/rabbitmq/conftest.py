"""Apps on RabbitMQ, in a place of their own on the server, with a file beside it for what RabbitMQ does not keep."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from tests.conformance.rabbitmq_places import remove_all

from faena import Faena
from faena._lib.ids import new_id
from faena.drivers.rabbitmq.location import locate

URL = os.environ.get("FAENA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")


def run(site, *words, stdin=None):
    """Run a command of the app in this folder."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FAENA_")}
    return subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "faena"), "-A", "app", *words], cwd=site.folder, text=True,
        env={**environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="session")
def server():
    node = locate(URL, {}).nodes[0]
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at {node.host}:{node.port} ({error}); FAENA_TEST_RABBITMQ_URL names another")
    return URL


@pytest.fixture
def bare_site(site, server):
    """A site on RabbitMQ that has no backend."""
    options = {"prefix": f"site-{new_id()[-12:]}."}
    site.url = f"{server}?prefix={options['prefix']}"
    yield site
    asyncio.run(remove_all(server, options))


@pytest.fixture
def rabbit_site(bare_site):
    """A site on RabbitMQ with a file as its backend."""
    site, backend = bare_site, f"sqlite:///{bare_site.database}"
    site._client = Faena("client", broker=site.url, backend=backend, set_as_current=False)
    write = site.app
    site.app = lambda source, settings="": write(source, f"backend={backend!r}, {settings}")
    return site
