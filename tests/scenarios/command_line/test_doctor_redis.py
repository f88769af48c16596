"""`faena doctor` on Redis says what a restart would lose, what is thrown away, and how full it is."""

import json

import pytest

from faena._lib.drive import run
from faena.brokers.redis import RedisBroker
from faena.testing.redis_server import RedisServer, redis_server_binary


@pytest.fixture
def server_of(tmp_path_factory):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    servers = []

    def start(*options):
        servers.append(RedisServer(tmp_path_factory.mktemp("redis"), *options).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def checks_of(project, url, code=0):
    done = project.run("doctor", "--json", "-b", url)
    assert done.returncode == code, done.stdout + done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


def test_a_server_that_keeps_everything_is_well(project, server_of):
    server = server_of("--appendonly", "yes", "--appendfsync", "always")
    found = checks_of(project, server.url)
    assert found["server"]["text"].startswith(("Redis ", "Valkey "))
    assert [found[name]["status"] for name in ("server", "eviction", "persistence", "memory")] == ["ok"] * 4
    assert found["persistence"]["text"] == "append-only file, appendfsync always: a crash loses nothing"


@pytest.mark.parametrize(
    ("options", "name", "status", "text"),
    [
        ((), "persistence", "warn", "none: a restart loses every task and every result"),
        (("--save", "900 1"), "persistence", "warn", "snapshots only (save 900 1): a crash now loses 0 changes"),
        (("--appendonly", "yes", "--appendfsync", "no"), "persistence", "warn", "append-only file, appendfsync no: a crash "
         "loses what the operating system had not written"),
        (("--appendonly", "yes"), "persistence", "ok", "append-only file: a crash of the machine loses up to a second"),
        (("--maxmemory-policy", "allkeys-lru"), "eviction", "fail",
         "maxmemory-policy allkeys-lru: when it is full it throws away waiting tasks"),
        (("--maxmemory-policy", "volatile-ttl"), "eviction", "warn",
         "maxmemory-policy volatile-ttl: when it is full it throws away results"),
    ],
)  # fmt: skip
def test_what_may_be_lost_is_said(project, server_of, options, name, status, text):
    found = checks_of(project, server_of(*options).url, code=1 if status == "fail" else 0)
    assert (found[name]["status"], found[name]["text"]) == (status, text)
    assert bool(found[name]["advice"]) == (status != "ok")


def test_a_server_that_is_nearly_full_is_warned_of(project, server_of):
    server = server_of()
    broker = RedisBroker.connect(server.url, io="blocking")
    run(broker.driver.command("SETRANGE", "ballast", 30_000_000, "x"))  # so that connections count for little
    info = run(broker.driver.command("INFO", "memory")).decode()
    used = next(int(line[12:]) for line in info.splitlines() if line.startswith("used_memory:"))
    run(broker.driver.command("CONFIG", "SET", "maxmemory", str(int(used * 1.15))))
    run(broker.close())
    found = checks_of(project, server.url)["memory"]
    assert (found["status"], found["advice"]) == ("warn", "give it more, or let results expire sooner (result_expires)")


def test_a_user_who_may_not_ask_is_no_trouble(project, server_of):
    server = server_of()
    broker = RedisBroker.connect(server.url, io="blocking")
    run(broker.driver.command("ACL", "SETUSER", "me", "on", ">secret", "~*", "&*", "+@all", "-info", "-config"))
    run(broker.close())
    found = checks_of(project, server.url.replace("//", "//me:secret@"))
    assert found["server"]["text"] == "this user may not ask the server about itself"
    assert "secret" not in json.dumps(found)


def test_a_server_that_is_not_there_is_said(project, server_of):
    server = server_of()
    server.stop()
    found = checks_of(project, server.url, code=1)["connection"]
    assert f"redis://127.0.0.1:{server.port}/0: it cannot be reached: " in found["text"]
