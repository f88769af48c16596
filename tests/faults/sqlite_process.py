"""What the fault tests of the SQLite adapters run in processes of their own, to be killed."""

import asyncio
import os
import resource
import sys
import time

from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backend import Completion
from faena.backends.sqlite import SqliteBackend
from faena.brokers.sqlite import SqliteBroker
from faena.errors import BrokerUnavailable
from faena.model.delivery import Ack
from faena.model.message import Message
from faena.model.result import ResultRecord


def say(*words):
    os.write(1, (" ".join(words) + "\n").encode())


def message(**fields):
    return Message(id=new_id(), task="t", queue="default", body=b"x" * 300, **fields)


def publish(url, batch):
    """Publish for ever, and say each id after it was accepted."""
    broker = SqliteBroker.connect(url, io="blocking")
    while True:
        sent = [message() for _ in range(batch)]
        run(broker.publish(sent))
        say(*[each.id for each in sent])


def consume(url, limit):
    """Complete for ever; say the holder first, and then each id whose completion was ours."""

    async def work():
        broker, backend = SqliteBroker.connect(url, io="asyncio"), SqliteBackend.connect(url, io="asyncio")
        holder = await broker.leases.open_holder("test", 600)
        say(holder)
        consumer, settler = broker.consumer(holder, ["default"]), backend.joint(broker, holder)
        while True:
            batch = await consumer.receive(limit, 5)
            ids = [each.message.id for each in batch]
            records = [ResultRecord(task_id, "t", "SUCCESS", str(os.getpid()).encode()) for task_id in ids]
            ours = await settler.complete(
                [Completion(Ack(each), record) for each, record in zip(batch, records, strict=True)]
            )
            if any(ours):
                say(*[task_id for task_id, is_ours in zip(ids, ours, strict=True) if is_ours])

    asyncio.run(work())


def publish_until_refused(url, largest_file_bytes):
    """Publish until the operating system refuses to let the files grow; say what was accepted, then why it ended."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))
    broker = SqliteBroker.connect(url, io="blocking")
    try:
        for _ in range(100_000):
            sent = [message() for _ in range(10)]
            run(broker.publish(sent))
            say(*[each.id for each in sent])
    except BrokerUnavailable as error:
        say("refused", type(error).__name__)


def fork(url):
    """Use one connection before a fork, and on both sides after it, with a thread at work meanwhile."""
    import threading
    import warnings

    warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads alive is the point
    broker = SqliteBroker.connect(url, io="blocking")
    run(broker.publish([message()]))
    is_over = threading.Event()

    def go_on():
        while not is_over.is_set():
            run(broker.publish([message()]))
            say("sent")

    thread = threading.Thread(target=go_on)
    thread.start()
    children = []
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            for _ in range(10):
                run(broker.publish([message()]))
            run(broker.close())
            os._exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    is_over.set()
    thread.join()
    run(broker.close())
    say("codes", *map(str, codes))


def as_nobody(url):
    """Say how a file is refused that this user may not write."""
    os.setgid(65534)
    os.setuid(65534)
    broker = SqliteBroker.connect(url, io="blocking")
    try:
        run(broker.publish([message()]))
    except BrokerUnavailable as error:
        say(type(error).__name__)
    say("done")


if __name__ == "__main__":
    name, url, *numbers = sys.argv[1:]
    globals()[name](url, *map(int, numbers))
    time.sleep(0)
