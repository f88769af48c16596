"""A queue of the right name that is another one: whoever meets it is told what there is, and what to do."""

from __future__ import annotations

import asyncio

import pytest

from faena.drivers.rabbitmq.location import locate
from faena.drivers.rabbitmq.publisher import Publisher
from faena.errors import DeclaredOtherwise

from .conftest import run

APP = """
@app.task
def note(name):
    mark(name)
"""


def declare(site, *, durable=True, **arguments):
    """Make the queue as some other program would; return the first number of the server's version."""

    async def work():
        location = locate(site.url, {})
        publisher = Publisher(location, "another program")
        session = await publisher.session()
        channel = await session.channel()
        await channel.queue_declare(
            f"{location.prefix}default", durable=durable,
            arguments={name.replace("_", "-"): value for name, value in arguments.items()},
        )  # fmt: skip
        await publisher.close()
        return session.server

    return asyncio.run(work())


@pytest.fixture
def remove_queue(rabbit_site):
    """The queue is of nobody's registry: it goes with the test."""
    yield

    async def work():
        location = locate(rabbit_site.url, {})
        publisher = Publisher(location, "cleaning")
        channel = await (await publisher.session()).channel()
        await channel.queue_delete(f"{location.prefix}default")
        await publisher.close()

    asyncio.run(work())


@pytest.mark.usefixtures("remove_queue")
@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"x_queue_type": "classic"}, "its x-queue-type is classic, and quorum was wanted; set `queue_type` to classic, "
         "delete it once it is empty, or set another `prefix`"),
        ({"durable": False}, "its durable is false, and true was wanted; it does not keep messages safely: delete it once "
         "it is empty, or set another `prefix`"),
        ({"x_queue_type": "quorum", "x_expires": 600_000}, "its x-expires is 600000, and none was wanted; delete it once "
         "it is empty, or set another `prefix`"),
    ],
)  # fmt: skip
def test_it_is_said_to_who_sends_and_to_a_worker_that_starts(rabbit_site, declared, said):
    site = rabbit_site
    site.app(APP)
    declare(site, **declared)
    with pytest.raises(DeclaredOtherwise) as caught:
        site.send("note", "x")
    assert str(caught.value).endswith(f"default' is there already, and is another one: {said}")
    worker = site.worker("-c", "1", ready=False)
    assert worker.until_ended() == 1
    assert worker.text().endswith(f"{caught.value}\n")
    done = run(site, "call", "app.note", "x")
    assert (done.returncode, done.stderr) == (1, f"faena: {caught.value}\n")


@pytest.mark.usefixtures("remove_queue")
def test_a_queue_of_version_3_is_used_after_an_upgrade_with_a_warning(rabbit_site):
    site = rabbit_site
    site.app(APP)
    if declare(site, x_queue_type="quorum") < 4:
        pytest.skip("the server is of version 3")
    worker = site.worker("-c", "1")
    worker.until_logged("was declared on RabbitMQ 3: it throws away what was returned 20 times, unless a policy says")
    site.send("note", "done")
    site.until_marked("done")
