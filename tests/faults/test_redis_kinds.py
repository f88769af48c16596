"""Ways to have Redis: over TLS, with users of few rights, behind sentinels, as a cluster, on a unix socket."""

import asyncio
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.backends.redis import RedisBackend
from faena.brokers.redis import RedisBroker
from faena.errors import InvalidSetting, ServerRefused, ServerUnavailable
from faena.model.delivery import Ack, Place
from faena.model.inputs import Encoded
from faena.model.journal import Entry, Parked
from faena.model.message import Message
from faena.model.result import ResultRecord
from faena.model.workflow import WorkflowState
from faena.testing.conformance.sketch import chain, ending, result_of
from faena.testing.redis_server import free_port, redis_server_binary

from .test_redis_expecting import Hand

IOS = ("blocking", "asyncio")


async def work(url, io, count=1, **options):
    """Send, run, complete and watch: everything that a connection is used for."""
    broker = RedisBroker.connect(url, io=io, options=options)
    backend = RedisBackend.connect(url, io=io, options=options)
    try:
        await broker.open()
        await backend.open()
        holder = await broker.leases.open_holder("test", 60)
        consumer = broker.consumer(holder, ["default"])
        watch = backend.watch()
        for number in range(count):
            task_id = f"{number}-{new_id()}"
            await watch.add([task_id])
            await broker.publish([Message(task_id, "t", "default", b"[[], {}]")])
            (delivery,) = await consumer.receive(1, 5.0)
            record = ResultRecord(task_id, "t", "SUCCESS", b"1", expires_at_s=time.time() + 60)
            assert list(await backend.joint(broker, holder).complete([Completion(Ack(delivery), record)])) == [True]
            assert list(await watch.changed(5.0)) == [task_id]
            assert list(await backend.read([task_id])) == [record]
        await _play_workflows(broker, backend, consumer, backend.joint(broker, holder))
        consumer.interrupt()
        assert not await consumer.receive(1, 5.0)
        await broker.queues.status()
        await broker.leases.recover(holder, {})
        await watch.close()
        await consumer.close()
    finally:
        await backend.close()
        await broker.close()


async def _play_workflows(broker, backend, consumer, settler):
    """Begin, step, cancel, run again and forget; remember, wait for an event, lead."""
    workflows, journal, until_s = backend.workflows, backend.journal, time.time() + 60
    for length in (3, 1500):  # the latter is built in parts
        new = chain(length, keep_s=60.0)
        await workflows.start(new, broker)
        (delivery,) = await consumer.receive(1, 5.0)
        await journal.write(delivery.message.id, Entry("step"), until_s)
        event = ending(new, 0, b"1")
        done = Completion(Ack(delivery), replace(result_of(event), expires_at_s=until_s), (), event, journal="forgotten")
        assert list(await settler.complete([done])) == [True]
        (delivery,) = await consumer.receive(1, 5.0)
        assert await workflows.inputs([delivery.message.member]) == [Encoded(b"1", "json")]
        parked = Completion(Ack(delivery), park=Parked(delivery.message, f"go-{length}", until_s))
        assert list(await settler.complete([parked])) == [True]
        assert not await journal.due(10.0, 9, broker)
        assert len(await workflows.cancel(new.workflow.id)) == 1
        assert not await workflows.rerun(new.workflow.id, [1], broker)
        await workflows.unpublished(until_s, 9)
        await journal.signal(Entry(f"go-{length}"), until_s, broker)
        (delivery,) = await consumer.receive(1, 5.0)
        await consumer.settle([Ack(delivery)])
        await workflows.cancel(new.workflow.id)
        assert (await workflows.latest(1, WorkflowState.REVOKED))[0].workflow == new.workflow
        assert await workflows.forget([new.workflow.id]) == 1
    await backend.lead("clock", "test", 60.0)
    await backend.expire(10)


def play(io, body):
    return run(body) if io == "blocking" else asyncio.run(body)


# -- unix sockets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("io", IOS)
def test_a_unix_socket_does_all_of_it(redis_of, tmp_path, io):
    path = tmp_path / "redis.sock"
    redis_of("--unixsocket", str(path))
    play(io, work(f"unix://{path}?db=2", io))


def calls(url):
    """Call a task one by one, and wait for what comes of it, as programs do that know the short ways."""
    hand = Hand(SimpleNamespace(url=url))
    hand.has_waited()
    assert hand.app.links.local.ways[hand.task].courier is not None
    assert [hand.trip() for _ in range(3)] == [7] * 3
    sent = [hand.task.delay(number).id for number in range(5)]
    assert list(run(hand.app.connection().broker.locate(sent))) == [Place.WAITING] * 5
    assert hand.app.links.local.ways[hand.task].courier is not None
    hand.close()


def test_calls_one_by_one_by_a_unix_socket(redis_of, tmp_path):
    path = tmp_path / "redis.sock"
    redis_of("--unixsocket", str(path))
    calls(f"unix://{path}?db=3")


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed but its own key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def tls_port(redis_of, certificate):
    port = free_port()
    key, cert = str(certificate / "key.pem"), str(certificate / "cert.pem")
    try:
        redis_of("--port", "0", "--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key,
                 "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")  # fmt: skip
    except RuntimeError:
        pytest.skip("this server was built without TLS")
    return port


@pytest.mark.parametrize("io", IOS)
def test_tls_does_all_of_it(tls_port, certificate, io):
    play(io, work(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificate}/cert.pem", io, count=20))


def test_calls_one_by_one_over_tls(tls_port, certificate):
    calls(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificate}/cert.pem&prefix=calls")


@pytest.mark.parametrize("io", IOS)
def test_a_certificate_that_nobody_vouches_for_is_refused_unless_that_is_asked_for(tls_port, certificate, io):
    with pytest.raises(ServerUnavailable, match="certificate"):
        play(io, work(f"rediss://localhost:{tls_port}", io))
    with pytest.raises(ServerUnavailable, match=r"(?i)certificate|hostname"):  # vouched for, but under another name
        play(io, work(f"rediss://127.0.0.1:{tls_port}", io, ssl_ca_certs=f"{certificate}/cert.pem"))
    play(io, work(f"rediss://127.0.0.1:{tls_port}", io, ssl_cert_reqs="none"))


# -- users -------------------------------------------------------------------------------------------------

LEAST_RIGHTS = (
    "~{faena}:* resetchannels &{faena}:* +@read +@write +@pubsub +@scripting +@connection +time -@dangerous "
    "+role +client|id +client|setname +client|list +client|kill +client|unblock"
)


@pytest.mark.parametrize("io", IOS)
def test_the_least_rights_of_the_guide_are_enough(redis_of, io):
    server = redis_of()
    admin = RedisBroker.connect(server.url, io="blocking")
    rights = LEAST_RIGHTS.split()
    run(admin.driver.command("ACL", "SETUSER", "worker", "on", ">secret", *rights))
    run(admin.driver.command("ACL", "SETUSER", "stranger", "on", ">secret", "~else:*", "+@all"))
    play(io, work(server.url.replace("//", "//worker:secret@"), io, count=3))
    with pytest.raises(ServerRefused, match="may not do that"):
        play(io, work(server.url.replace("//", "//stranger:secret@"), io))
    run(admin.close())


def test_the_rights_are_those_of_the_guide():
    assert LEAST_RIGHTS in (Path(__file__).parents[2] / "docs/guides/redis.md").read_text()


# -- sentinels ---------------------------------------------------------------------------------------------


@pytest.fixture
def sentinel(redis_of, tmp_path):
    """A master, a replica, and a sentinel that watches over them."""
    master = redis_of()
    replica = redis_of("--replicaof", "127.0.0.1", str(master.port))
    port = free_port()
    conf = tmp_path / "sentinel.conf"
    conf.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor ours 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n"
    )
    process = subprocess.Popen(
        [redis_server_binary(), str(conf), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield port, master, replica
    process.terminate()
    process.wait(10)


def eventually(step, within_s=30.0):
    deadline = time.monotonic() + within_s
    while True:
        try:
            return step()
        except ServerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_sentinels_name_the_master_before_and_after_it_fails(sentinel, until):
    port, master, replica = sentinel
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/ours"
    for io in IOS:
        eventually(lambda io=io: play(io, work(url, io)))
        with pytest.raises(ServerUnavailable, match="know no service 'other'"):
            play(io, work(url.replace("/ours", "/other"), io))
    seen = RedisBroker.connect(replica.url, io="blocking")
    until(lambda: b"master_link_status:up" in run(seen.driver.command("INFO", "replication")))
    asked = RedisBroker.connect(f"redis://127.0.0.1:{port}/0", io="blocking")  # a sentinel speaks the protocol, too
    until(lambda: b"slaves=1" in run(asked.driver.command("INFO", "sentinel")))
    master.stop(signal.SIGKILL)
    for io in IOS:
        eventually(lambda io=io: play(io, work(url, io)))
    assert b"role:master" in run(seen.driver.command("INFO", "replication"))
    run(asked.close())
    run(seen.close())


# -- clusters ----------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(redis_of, until):
    """Three nodes that share the slots."""
    if shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli to make a cluster with")
    try:
        nodes = [redis_of("--cluster-enabled", "yes", "--cluster-port", str(free_port())) for _ in range(3)]
    except RuntimeError:
        pytest.skip("this server cannot be told the port of its cluster bus (Redis 7.0)")
    hosts = [f"127.0.0.1:{node.port}" for node in nodes]
    made = subprocess.run(
        ["redis-cli", "--cluster", "create", *hosts, "--cluster-yes"], capture_output=True, text=True, timeout=60
    )
    assert "All 16384 slots covered" in made.stdout, made.stdout

    def is_ok(node):
        broker = RedisBroker.connect(node.url, io="blocking")
        info = run(broker.driver.command("CLUSTER", "INFO"))
        run(broker.close())
        return b"cluster_state:ok" in info

    until(lambda: all(is_ok(node) for node in nodes))
    return nodes


def test_a_cluster_is_entered_by_any_of_its_nodes(cluster):
    hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), cluster[1].port))
    for io in IOS:
        for node in cluster:
            play(io, work(node.url, io))
        for prefix in ("one", "two", "three"):
            play(io, work(f"redis+cluster://{hosts}?prefix={prefix}", io))


def test_calls_one_by_one_in_a_cluster(cluster):
    for prefix in ("one", "two", "three"):
        calls(f"redis+cluster://127.0.0.1:{cluster[1].port}?prefix={prefix}")


# -- URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["redis://a,b/0", "redis://host:x", "redis://host/x", "redis+sentinel://host", "redis+cluster://host/3", "unix://relative",
     "redis://host?nonsense=1", "redis://host?timeout_s=0", "redis://host?prefix=%7B", "rediss://host?ssl_cert_reqs=maybe"],
)  # fmt: skip
def test_a_url_that_makes_no_sense_is_refused(url):
    with pytest.raises(InvalidSetting):
        RedisBroker.connect(url, io="blocking")


def test_a_secret_in_the_options_is_not_shown():
    with pytest.raises(InvalidSetting) as caught:
        RedisBroker.connect("redis://me:hidden@host/x", io="blocking", options={})
    assert "hidden" not in str(caught.value)
    with pytest.raises(InvalidSetting) as caught:
        RedisBroker.connect("redis://host", io="blocking", options={"ssl_password": "hidden"})
    assert "hidden" not in str(caught.value)
