"""Which adapter serves the URLs of Redis, and what is said where its package is missing."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from faena.app.links import adapter_for
from faena.backends.redis import RedisBackend
from faena.brokers.redis import RedisBroker

SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", "redis+sentinel", "rediss+cluster")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_urls_of_redis_are_served_by_its_adapters(scheme):
    assert adapter_for("faena.brokers", f"{scheme}://host") is RedisBroker
    assert adapter_for("faena.backends", f"{scheme}://host") is RedisBackend


@pytest.mark.parametrize(("group", "adapter"), [("faena.brokers", RedisBroker), ("faena.backends", RedisBackend)])
def test_the_entry_points_name_the_same_adapters(group, adapter):
    found = {entry.name: entry.value for entry in entry_points(group=group)}
    expected = f"{adapter.__module__}:{adapter.__name__}"
    assert {found.get(scheme) for scheme in SCHEMES if "+" not in scheme} == {expected}


def test_a_missing_package_is_named_with_what_to_install():
    code = (
        "import sys; sys.modules['hiredis'] = None\n"
        "from faena import Faena\n"
        "Faena('x', broker='redis://me:secret@host').send_task('t')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "faena.errors.ConfigurationError: the URL 'redis://me:***@host' needs the package hiredis: "
        "pip install 'faena[redis]'"
    )
