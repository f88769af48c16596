"""RabbitMQ servers of a test's own, alone or three in a cluster, on free ports of this machine.

Each node is a child of the test's process and dies with it, however that ends; so does the `epmd` by which nodes find one
another. What is done to a running node is done by `erl_call`, in some milliseconds: `rabbitmqctl` takes seconds to start.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faena.testing.redis_server import free_port

_PATIENCE_S = 60.0
_COOKIE, _OTHER_COOKIE, _ANOTHER_COOKIE = "faenatests", "cut", "off"
_DIES_WITH_US = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which outlives `exec`
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users = none
log.console = false
log.file = rabbit.log
log.file.level = warning
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 1GB
cluster_partition_handling = pause_minority
"""
_COUNTS = """
lists:map(fun(Q) ->
    Count = case amqqueue:get_type(Q) of
        rabbit_quorum_queue ->
            Ask = fun(What) -> ra:consistent_query(amqqueue:get_pid(Q), What) end,
            case {Ask(fun rabbit_fifo:query_messages_total/1), Ask(fun rabbit_fifo:query_stat_dlx/1)} of
                {{ok, Total, _}, {ok, {Dead, _}, _}} -> Total + Dead;
                _ -> -1
            end;
        rabbit_classic_queue -> proplists:get_value(messages, rabbit_amqqueue:info(Q, [messages]));
        _ -> 0
    end,
    list_to_binary(io_lib:format("~s ~b", [element(4, amqqueue:get_name(Q)), Count]))
end, [Q || Q <- rabbit_amqqueue:list(), string:prefix(element(4, amqqueue:get_name(Q)), "PREFIX") =/= nomatch])
"""


def rabbitmq_server_script() -> str | None:
    """Return the path of the script that starts a server, past the wrapper of distributions that changes the user."""
    found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    if found and shutil.which("erl_call") and shutil.which("epmd"):
        return found[-1]
    return None


def _spawn(words: list[str], environ: dict[str, str], folder: Path, output: str) -> subprocess.Popen[bytes]:
    with open(folder / output, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", _DIES_WITH_US, str(os.getpid()), *words],
            env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


class Epmd:
    """What tells nodes each other's ports, apart from that of the machine."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        words = ["epmd", "-port", str(self.port), "-address", "127.0.0.1"]
        self._process = _spawn(words, {"PATH": os.environ["PATH"]}, folder, "epmd.log")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(_PATIENCE_S)


class RabbitNode:
    """One node. Its data, its log and its configuration lie in a folder of its own."""

    def __init__(self, folder: Path, epmd: Epmd, name: str = "one", config: str = "", port: int = 0) -> None:
        self.folder, self.name, self._epmd = folder / name, f"{name}@localhost", epmd
        self.folder.mkdir()
        self.port, self._dist_port = port or free_port(), free_port()
        (self.folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port) + config)
        (self.folder / "plugins").write_text("[].")
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(_COOKIE)
        cookie.chmod(0o400)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def begin_start(self) -> None:
        """Start it, and do not wait."""
        script = rabbitmq_server_script()
        assert script is not None
        self._process = _spawn([script], self._environ(), self.folder, "output")

    def start(self) -> RabbitNode:
        """Start it; return when it takes connections."""
        self.begin_start()
        return self.until_ready()

    def until_ready(self) -> RabbitNode:
        deadline = time.monotonic() + _PATIENCE_S
        while not self._listens():
            if not self.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"the node did not start:\n{self.told()}")
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGKILL leaves it no time for anything."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_PATIENCE_S)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let it stand still: connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        while not all(_is_stopped(thread) for thread in Path(f"/proc/{self.pid}/task").iterdir()):
            time.sleep(0.001)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def eval(self, expression: str) -> str:
        """Evaluate an expression of Erlang in the node; return what it gives, as text."""
        done = subprocess.run(
            ["erl_call", "-address", str(self._dist_port), "-c", _COOKIE, "-e"],
            input=f"{expression}.\n", env=self._environ(), capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        found = re.fullmatch(r"\{ok, ?(.*)\}\s*", done.stdout, re.DOTALL)
        if found is None:
            raise RuntimeError(f"{expression}: {done.stdout}{done.stderr}")
        return found[1]

    def keep_names(self) -> None:
        """Let it write down which quorum queues it has.

        3.10 does so some seconds after it has confirmed that a queue is there. A node that is killed before begins the
        queue anew: empty, and, where it is the only node, without a leader for ever.
        """
        self.eval("[dets:sync(T) || T <- dets:all()]")

    def set_memory_alarm(self, is_set: bool) -> None:
        """Do what `rabbitmqctl set_vm_memory_high_watermark` does."""
        self.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({'0.00001' if is_set else '{absolute, 1000000000}'})")

    def set_disk_alarm(self, is_set: bool) -> None:
        """Do what `rabbitmqctl set_disk_free_limit` does."""
        self.eval(f"rabbit_disk_monitor:set_disk_free_limit({10**17 if is_set else 10**6})")

    def alarms(self) -> str:
        """Return the alarms that are set, as Erlang shows them: "[]" for none."""
        return self.eval("rabbit_alarm:get_alarms()")

    def queues(self, prefix: str = "") -> dict[str, int]:
        """Return how many messages each queue of a prefix has, waiting or held, as the queue itself counts.

        What a quorum queue tells of itself elsewhere is some seconds old. -1: it does not answer at present.
        """
        told = self.eval(_COUNTS.replace("PREFIX", prefix))
        rows = [bytes(map(int, row.split(","))).decode().rsplit(" ", 1) for row in re.findall(r"#Bin<([\d,]+)>", told)]
        return {name: int(count) for name, count in rows}

    def delete_queue(self, name: str) -> None:
        """Do what an operator does who deletes a queue, used or not."""
        self.eval(
            f'begin {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{name}">>)),'
            ' rabbit_amqqueue:delete(Q, false, false, <<"test">>) end'
        )

    def told(self) -> str:
        texts = [(self.folder / "output").read_text(errors="replace")[-2000:]]
        texts += [log.read_text(errors="replace")[-3000:] for log in sorted(self.folder.glob("log/rabbit.log"))]
        return "\n".join(texts)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _environ(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,  # of the cookie
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # one scheduler; no busy waiting; nodes reach each other on this machine only
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +SDio 4 +A 4 +sbwt none"
            " -kernel inet_dist_use_interface {127,0,0,1} -kernel net_ticktime 4",
            "NOTIFY_SOCKET": "/nonexistent",  # so that the script is replaced by the node, with its process id
            "LANG": "C.UTF-8",
        }


class Cluster:
    """Three nodes that keep what quorum queues hold together."""

    def __init__(self, folder: Path, epmd: Epmd, config: str = "") -> None:
        self.nodes = [RabbitNode(folder, epmd, name, config) for name in ("one", "two", "three")]

    @property
    def url(self) -> str:
        return ";".join(node.url for node in self.nodes)

    def start(self) -> Cluster:
        for node in self.nodes:
            node.begin_start()
        for node in self.nodes:
            node.until_ready()
        first, *others = self.nodes
        for node in others:  # what `rabbitmqctl stop_app`, `join_cluster` and `start_app` do
            node.eval("rabbit:stop()")
            node.eval(f"rabbit_mnesia:join_cluster('{first.name}', disc)")
            node.eval("rabbit:start()")
            node.until_ready()
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.stop(signal.SIGKILL)

    def others(self, node: RabbitNode) -> list[RabbitNode]:
        return [each for each in self.nodes if each is not node]

    def part(self, node: RabbitNode) -> None:
        """Let no word pass between this node and the others, from one moment on."""
        others = self.others(node)
        for each in others:  # both ways: whichever of them connects is refused
            node.eval(f"erlang:set_cookie('{each.name}', '{_OTHER_COOKIE}')")
            each.eval(f"erlang:set_cookie('{node.name}', '{_ANOTHER_COOKIE}')")
        names = ", ".join(f"'{each.name}'" for each in others)
        node.eval(f"[erlang:disconnect_node(N) || N <- [{names}]]")

    def heal(self, node: RabbitNode) -> None:
        for each in self.others(node):
            node.eval(f"erlang:set_cookie('{each.name}', '{_COOKIE}')")
            each.eval(f"erlang:set_cookie('{node.name}', '{_COOKIE}')")
        for each in self.others(node):
            node.eval(f"net_kernel:connect_node('{each.name}')")


def _is_stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(") ")[2].startswith("T")
