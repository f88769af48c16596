"""A server of the test's own: users with few rights, virtual hosts, TLS both ways, and what `faena doctor` says of that."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.faults.rabbitmq_nodes import Epmd, RabbitNode, rabbitmq_server_script

from faena import Faena
from faena.errors import ServerRefused, ServerUnavailable
from faena.testing.redis_server import free_port

from .conftest import run

PREFIX = "shop."
PAGE = Path(__file__).parents[3] / "docs/guides/rabbitmq.md"
ADMIN, LEAST = re.findall(r"rabbitmqctl set_permissions -p / \S+ '(.+)' '(.+)' '(.+)'", PAGE.read_text())
"""What the guide names: the rights of who declares, and of who uses what is there."""

APP = """
@app.task
def note(name):
    mark(name)
    return name

@app.task
def fails(name):
    raise ValueError(name)

@app.task(bind=True, max_retries=2)
def again(self, name):
    if self.request.retries < 1:
        raise self.retry(countdown=0.3)
    mark(name)
"""


class Server:
    """A node with a listener for TLS, which wants to see a certificate."""

    def __init__(self, node, tls_port, folder):
        self.node, self.tls_port, self.folder = node, tls_port, folder

    def user(self, name, password, configure, write, read, vhost="/"):
        self.node.eval(f'rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"{password}">>, <<"test">>)')
        patterns = ", ".join(f'<<"{each}">>' for each in (configure, write, read)).replace("\\", "\\\\")
        self.node.eval(f'rabbit_auth_backend_internal:set_permissions(<<"{name}">>, <<"{vhost}">>, {patterns}, <<"test">>)')

    def url(self, user="guest", password="guest", vhost="", prefix=PREFIX):
        return f"amqp://{user}:{password}@127.0.0.1:{self.node.port}/{vhost}?prefix={prefix}"

    def tls_url(self, host="localhost", **options):
        given = {"prefix": PREFIX, "ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
        query = "&".join(
            f"{name}={self.folder / value if name.startswith('ssl_') and '.' in value else value}"
            for name, value in {**given, **options}.items() if value
        )  # fmt: skip
        return f"amqps://guest:guest@{host}:{self.tls_port}/?{query}"


def certify(folder):
    """Make a CA, and certificates of it for a server named localhost and for a client."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "strange"):
        openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "strange")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "names",
        )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if rabbitmq_server_script() is None or shutil.which("openssl") is None:
        pytest.skip("no rabbitmq-server, or no openssl, on this machine")
    folder = tmp_path_factory.mktemp("rabbitmq")
    certify(folder)
    port, epmd = free_port(), Epmd(folder)
    files = "".join(
        f"ssl_options.{option} = {folder}/{name}\n"
        for option, name in (("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key"))
    )
    node = RabbitNode(
        folder, epmd,
        config=f"listeners.ssl.1 = 127.0.0.1:{port}\n{files}ssl_options.verify = verify_peer\n"
        "ssl_options.fail_if_no_peer_cert = true\n",
    )  # fmt: skip
    try:
        yield Server(node.start(), port, folder)
    finally:
        node.stop(signal.SIGKILL)
        epmd.stop()


def client_of(url):
    return Faena("client", broker=url, set_as_current=False)


def refusal_of(url):
    """Send, and return why that is refused, without what stands before it in every error."""
    app = client_of(url)
    try:
        with pytest.raises((ServerRefused, ServerUnavailable)) as caught:
            app.send_task("app.note", ("x",))
    finally:
        app.close()
    assert "secret" not in str(caught.value)
    return str(caught.value).partition(": ")[2]


def checks_of(site):
    done = run(site, "doctor", "--json")
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


def use(site, url):
    """Let the site be on this server."""
    if site._client is not None:
        site._client.close()
    site.url = url
    backend = f"sqlite:///{site.database}"
    site._client = Faena("client", broker=url, backend=backend, set_as_current=False)
    site.app(APP, f"backend={backend!r}")


@pytest.mark.slow
def test_a_user_of_least_rights_can_do_all_that_others_have_declared(server, site, until):
    server.user("admin", "adminsecret", *ADMIN)
    server.user("least", "leastsecret", *LEAST)
    least = server.url("least", "leastsecret")
    refused = refusal_of(least)
    assert "this user may not do that" in refused
    assert "access to queue 'shop.default' in vhost '/' refused for user 'least'" in refused
    use(site, least)
    worker = site.worker("-c", "1", ready=False)
    assert worker.until_ended() == 1
    assert "access to queue 'shop.default' in vhost '/' refused for user 'least'" in worker.text()
    assert checks_of(site)["rights"]["text"] == (
        "this user may not declare what begins with 'shop.', and there is no queue default"
    )

    use(site, server.url("admin", "adminsecret"))
    assert run(site, "queues", "declare").stderr == "queue 'default' is there\n"
    found = checks_of(site)
    assert [found[name]["status"] for name in ("rights", "queue types", "delays")] == ["ok"] * 3
    assert found["delays"]["text"] == "their ladder of queues is whole"

    use(site, least)
    site.worker("-c", "1")
    assert site.send("note", "done").get(timeout=20) == "done"
    site.send("note", "later", countdown=0.3)
    site.send("again", "again")
    site.send("fails", "no")
    for name in ("later", "again"):
        site.until_marked(name)
    until(lambda: "app.fails" in run(site, "dead", "list").stdout)
    assert run(site, "dead", "purge", "--queue", "default", "--force").stdout == "1 thrown away\n"
    found = checks_of(site)
    assert found["rights"]["text"] == "this user may not declare what begins with 'shop.': its queues are there"
    assert found["queue types"]["status"] == "ok"
    assert "may not" in refusal_of(server.url("least", "leastsecret", prefix="other."))


def test_passwords_and_virtual_hosts_that_are_none_are_refused_with_the_reason(server):
    assert refusal_of(server.url("guest", "wrongsecret")).startswith("it does not take this user name and password")
    assert refusal_of(server.url(vhost="nowhere")).startswith("the server does not open this virtual host: there is none")
    server.node.eval('rabbit_vhost:add(<<"mine">>, <<"test">>)')
    assert refusal_of(server.url(vhost="mine")).startswith("the server does not open this virtual host")  # not for guest
    server.user("owner", "ownersecret", ".*", ".*", ".*", vhost="mine")
    app = client_of(server.url("owner", "ownersecret", vhost="mine"))
    app.send_task("app.note", ("x",))
    app.close()


def test_tls_is_checked_both_ways(server):
    app = client_of(server.tls_url())
    app.send_task("app.note", ("x",))
    app.close()
    untrusted = "its certificate is refused; name its CA in ssl_ca_certs, and the host as the certificate does: "
    assert refusal_of(server.tls_url(ssl_ca_certs="")).startswith(
        f"{untrusted}self-signed certificate in certificate chain"
    )
    assert refusal_of(server.tls_url(ssl_ca_certs="strange.pem")).startswith(untrusted)
    assert refusal_of(server.tls_url("127.0.0.1")).startswith(f"{untrusted}IP address mismatch")
    # The server says why, and closes; what it has said may be lost on the way.
    assert "see ssl_certfile" in refusal_of(server.tls_url(ssl_certfile="", ssl_keyfile=""))
    assert "see ssl_certfile" in refusal_of(server.tls_url(ssl_certfile="stranger.pem", ssl_keyfile="stranger.key"))
    plain = server.url().replace("amqp://", "amqps://")
    assert refusal_of(plain).startswith("it speaks no TLS at this port")
    app = client_of(server.tls_url("127.0.0.1", ssl_cert_reqs="none", ssl_ca_certs=""))  # on request only
    app.send_task("app.note", ("x",))
    app.close()


def test_the_doctor_says_what_is_wrong(server, site):
    use(site, server.tls_url())
    found = checks_of(site)
    assert found["encryption"]["text"] == "TLS; certificate and name of the server are checked"
    assert found["server"]["text"].startswith("RabbitMQ ")
    assert found["alarms"]["status"] == "ok"
    use(
        site,
        server.tls_url(ssl_cert_reqs="none", queue_type="classic", prefix="doctor.", largest_message_bytes="999999999"),
    )
    site.client.send_task("app.note", ("x",), queue="default")
    server.node.set_disk_alarm(True)
    try:
        loose = {"ssl_cert_reqs": "none", "largest_message_bytes": "999999999", "timeout_s": "1"}
        use(site, server.tls_url(prefix="doctor.", **loose))
        found = checks_of(site)
    finally:
        server.node.set_disk_alarm(False)
    assert {name: found[name]["status"] for name in ("encryption", "alarms", "queue types", "large messages")} == {
        "encryption": "warn", "alarms": "fail", "queue types": "fail", "large messages": "warn",
    }  # fmt: skip
    assert "memory or disk alarm" in found["alarms"]["text"]
    assert found["queue types"]["text"] == "queue 'doctor.default': its x-queue-type is classic, and quorum was wanted"
