"""The guide to RabbitMQ says what is so: its blocks are run as those of the other pages are, in a place of their own."""

import asyncio
import importlib.util
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.rabbitmq_places import remove_all

from faena._lib.ids import new_id

PAGE = "docs/guides/rabbitmq.md"
SERVER = "amqp://localhost:5672/"
spec = importlib.util.spec_from_file_location("pages_for_rabbitmq", Path(__file__).with_name("test_pages.py"))
pages = importlib.util.module_from_spec(spec)
sys.modules["pages_for_rabbitmq"] = pages  # its data classes look themselves up there
spec.loader.exec_module(pages)


@pytest.fixture
def prefix():
    try:
        socket.create_connection(("localhost", 5672), 2).close()
    except OSError as error:
        pytest.skip(f"no RabbitMQ at localhost:5672 ({error})")
    prefix = f"page-{new_id()[-12:]}."
    yield prefix
    asyncio.run(remove_all(SERVER, {"prefix": prefix}))


@pytest.fixture
def project(tmp_path):
    project = pages.Project(tmp_path)
    yield project
    project.close()


def test_every_block_of_the_page_does_what_it_says(prefix, project):
    done = []
    for block in pages.blocks_of(PAGE):
        block = replace(block, text=block.text.replace(SERVER, f"{SERVER}?prefix={prefix}"))
        where = f"{PAGE}:{block.line}"
        if "pip install" in block.text or block.why_not is not None:
            continue
        if block.title is not None:
            project.write(block.title, block.text)
        elif block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                if " worker" in command:
                    project.start_worker(command)
                    continue
                said = project.run(command)
                assert re.fullmatch(pages.pattern_of(printed), said), f"{where}\n$ {command}\n{said}"
        else:
            raise AssertionError(f"{where}: nobody runs blocks of '{block.language}'")
        done.append(block.language)
    assert sorted(done) == ["console", "console", "python", "python"]
