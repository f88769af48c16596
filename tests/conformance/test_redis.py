"""The Redis adapters, on a real server of the tests' own."""

from itertools import count

import pytest
from tests.conformance.ways import Blocking, OnALoop

from faena._lib.ids import new_id
from faena.backends.redis import RedisBackend
from faena.backends.sqlite import SqliteBackend
from faena.brokers.redis import RedisBroker
from faena.brokers.sqlite import SqliteBroker
from faena.testing.conformance import (
    BackendConformance,
    BrokerConformance,
    JointConformance,
    JointWorkflowConformance,
    WorkflowConformance,
)


class _Redis:
    @pytest.fixture(autouse=True)
    def _server(self, redis_server):
        self.url = redis_server.url

    def options(self, place):
        return {"prefix": place}

    def connect_broker(self, place, io):
        return RedisBroker.connect(self.url, io=io, options=self.options(place))

    def connect_backend(self, place, io):
        return RedisBackend.connect(self.url, io=io, options=self.options(place))

    async def corrupt(self, broker, queue, raw):
        name = queue.encode()
        value = b"\0\0\0\5" + len(name).to_bytes(2, "big") + name + raw
        await broker.driver.run("publish", queue, 5, "", new_id(), value)


class _Apart(_Redis):
    """Other options make another driver: as two processes do, two connections share nothing but the server."""

    @pytest.fixture(autouse=True)
    def _number(self):
        self.number = count(5)

    def options(self, place):
        return {"prefix": place, "connect_timeout_s": next(self.number)}


class TestRedisBroker(_Redis, BrokerConformance):
    corrupt = _Redis.corrupt


class TestRedisBackend(_Redis, BackendConformance):
    pass


class TestRedisJoint(_Redis, JointConformance):
    pass


class TestRedisWorkflows(_Redis, WorkflowConformance):
    pass


class TestRedisJointWorkflows(_Redis, JointWorkflowConformance):
    pass


class TestRedisWorkflowsBesideSqlite(OnALoop, _Redis, WorkflowConformance):
    """The broker is a file: every end of a task takes four steps."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def connect_broker(self, place, io):
        return SqliteBroker.connect(f"sqlite:///{self.folder}/{place}.db", io=io)


class TestSqliteWorkflowsBesideRedis(Blocking, _Redis, WorkflowConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def connect_backend(self, place, io):
        return SqliteBackend.connect(f"sqlite:///{self.folder}/{place}.db", io=io)


class TestRedisBrokerApart(_Apart, BrokerConformance):
    corrupt = _Redis.corrupt


class TestRedisBackendApart(_Apart, BackendConformance):
    pass


class _Oldest(OnALoop, _Redis):
    """What is said to the server, and what it does, is the same however one waits for it."""

    @pytest.fixture(autouse=True)
    def _server(self, oldest_redis_server):
        self.url = oldest_redis_server.url


class TestOldestRedisBroker(_Oldest, BrokerConformance):
    corrupt = _Redis.corrupt


class TestOldestRedisBackend(_Oldest, BackendConformance):
    pass


class TestOldestRedisJoint(_Oldest, JointConformance):
    pass


class TestOldestRedisWorkflows(_Oldest, WorkflowConformance):
    pass


class TestOldestRedisJointWorkflows(_Oldest, JointWorkflowConformance):
    pass
