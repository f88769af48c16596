"""Taskiq: what its two brokers have in common. Results are kept by its Redis backend; acknowledged when they are."""

from taskiq_redis import RedisAsyncResultBackend
from taskiq_redis.exceptions import ResultIsMissingError

from benchmarks.redis import bodies
from benchmarks.redis.bodies import COROUTINES, THREADS
from benchmarks.redis.side import TTL_S, URL, WAIT_S, LoopSide


def kept():
    return RedisAsyncResultBackend(URL, result_ex_time=TTL_S)


class TaskiqSide(LoopSide):
    def __init__(self, module, broker):
        super().__init__()
        self.module, self.broker = module, broker
        self.echo, self.sleep, self.sleep_coroutine = map(broker.find_task, ("echo", "sleep", "sleep_coroutine"))

    async def aopen(self):
        await self.broker.startup()

    async def asend(self, numbers):
        return [await self.echo.kiq(number) for number in numbers]

    async def asend_sleeps(self, kind, count):
        task = self.sleep_coroutine if kind == "coroutines" else self.sleep
        return [await task.kiq() for _ in range(count)]

    async def aresult(self, handle):
        return (await handle.wait_result(check_interval=0.0005, timeout=WAIT_S)).return_value

    async def aread(self, handles):
        values = []
        for handle in handles:
            try:
                values.append((await handle.get_result()).return_value)
            except ResultIsMissingError:
                values.append(None)
            except Exception as error:  # its own "not there yet" is wrapped
                if not isinstance(error.__cause__, ResultIsMissingError):
                    raise
                values.append(None)
        return values

    def commands(self, kind, processes):
        at_once = {"coroutines": ("--max-async-tasks", str(COROUTINES)),
                   "threads": ("--max-async-tasks", str(THREADS), "--max-threadpool-threads", str(THREADS))}  # fmt: skip
        return [
            self.command(kind, "taskiq", "worker", f"{self.module}:broker", "--workers", str(processes), "--ack-type",
                         "when_saved", "--log-level", "WARNING", *at_once.get(kind, ()))
        ]  # fmt: skip


def register(broker):
    """Declare the tasks where the worker looks for them."""
    for name, body in (
        ("echo", bodies.echo_coroutine),
        ("sleep", bodies.sleep),
        ("sleep_coroutine", bodies.sleep_coroutine),
    ):
        broker.register_task(body, task_name=name)
