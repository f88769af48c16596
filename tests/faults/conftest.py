"""A proxy that does to a connection what networks do, and servers of RabbitMQ to do it to."""

import signal
import socket
import threading

import pytest

from .rabbitmq_nodes import Cluster, Epmd, RabbitNode, rabbitmq_server_script


@pytest.fixture
def proxy_to():
    """Put a proxy before a port; it ends with the test."""
    proxies = []

    def start(port):
        proxies.append(Proxy(port))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


@pytest.fixture(scope="session")
def rabbit_folder(tmp_path_factory):
    """A folder for nodes, and the service by which they find one another."""
    if rabbitmq_server_script() is None:
        pytest.skip("no rabbitmq-server on this machine, or no erl_call beside it")
    folder = tmp_path_factory.mktemp("rabbitmq")
    epmd = Epmd(folder)
    yield folder, epmd
    epmd.stop()


@pytest.fixture(scope="session")
def rabbit_node(rabbit_folder):
    node = RabbitNode(*rabbit_folder)
    yield node
    node.stop(signal.SIGKILL)


@pytest.fixture
def rabbit(rabbit_node):
    """A node that runs, for many tests one after the other: each has a prefix of its own for the names of its queues."""
    if not rabbit_node.is_running:
        rabbit_node.start()
    return rabbit_node


@pytest.fixture
def cluster(rabbit_folder):
    """Three nodes; they end with the test."""
    nodes = Cluster(*rabbit_folder)
    try:
        yield nodes.start()
    finally:
        nodes.stop()


class Proxy:
    """Hands bytes on, in both directions, until it is told otherwise.

    `swallow`: hand requests on, but no replies any more.  `stall`: hand nothing on, and close nothing (a cable was pulled).
    `cut`: close every connection.  `cut_after`: close after so many bytes of replies.  `refuses`: take no new connections.
    `forsake`: do so with the connections that are open now, and serve new ones.
    `cut_in`: the same for replies or requests; `cuts` counts how often it has happened.
    """

    def __init__(self, port):
        self._target = port
        self.swallows = self.stalls = self.refuses = False
        self.cut_after = None
        self.requests = bytearray()  # what was sent to the server
        self._to_cut = None  # whether of replies, and after how many bytes of them
        self.cuts = 0
        self.swallowed = threading.Event()
        self._cutting = threading.Lock()
        self._pairs = []
        self._forsaken = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_in(self, direction, after):
        """Cut the connection on which so many bytes more pass in a direction; one cut at a time."""
        with self._cutting:
            self._to_cut = self._to_cut or (direction == "replies", after)

    def spare(self):
        with self._cutting:
            self._to_cut = None

    def _left_before_cut(self, is_reply, data):
        """Return how much of the data may still pass; None: all of it."""
        with self._cutting:
            if self._to_cut is None or self._to_cut[0] is not is_reply:
                return None
            after = self._to_cut[1]
            if after >= len(data):
                self._to_cut = (is_reply, after - len(data))
                return None
            self._to_cut, self.cuts = None, self.cuts + 1
            return after

    def forsake(self):
        self._forsaken.update(end for pair in self._pairs for end in pair)

    def cut(self):
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _shut(end)

    def close(self):
        self.refuses = True
        self._listening.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            threading.Thread(target=self._hand_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(server, client, True), daemon=True).start()

    def _hand_on(self, source, target, is_reply):
        try:
            while data := source.recv(65536):
                if not is_reply:
                    self.requests += data
                if self.stalls or source in self._forsaken:
                    continue
                if is_reply and self.swallows:
                    self.swallowed.set()
                    continue
                if is_reply and self.cut_after is not None:
                    data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        target.sendall(data)
                        break
                left = self._left_before_cut(is_reply, data) if self._to_cut is not None else None
                if left is not None:
                    target.sendall(data[:left])
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            if not (self.stalls or source in self._forsaken):
                _shut(target)
            _shut(source)
            source.close()


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already
