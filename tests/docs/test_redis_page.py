"""The guide to Redis says what is so: its blocks are run as those of the other pages are, on a server of the test's own."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from faena.testing.redis_server import RedisServer, redis_server_binary

PAGE = "docs/guides/redis.md"
spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("test_pages.py"))
pages = importlib.util.module_from_spec(spec)
sys.modules["pages"] = pages  # its data classes look themselves up there
spec.loader.exec_module(pages)


@pytest.fixture
def server(tmp_path_factory):
    if redis_server_binary() is None:
        pytest.skip("no redis-server or valkey-server on this machine")
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def project(tmp_path):
    project = pages.Project(tmp_path)
    yield project
    project.close()


def test_every_block_of_the_page_does_what_it_says(server, project):
    done = []
    for block in pages.blocks_of(PAGE):
        block = replace(block, text=block.text.replace("localhost:6379", f"127.0.0.1:{server.port}"))
        where = f"{PAGE}:{block.line}"
        if block.why_not is not None or "pip install" in block.text:
            continue
        if block.title is not None:
            project.write(block.title, block.text)
        elif block.language == "toml":
            pages.check_settings(pages.tomllib.loads(block.text)["tool"]["faena"], where)
        elif block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                if " worker" in command:
                    project.start_worker(command)
                    continue
                said = project.run(command)
                pattern = re.sub(r"(?:\\ )+", " +", pages.pattern_of(printed))  # columns are as wide as what they hold
                assert re.fullmatch(pattern, said), f"{where}\n$ {command}\n{said}"
        else:
            raise AssertionError(f"{where}: nobody runs blocks of '{block.language}'")
        done.append(block.language)
    assert sorted(done) == ["console", "console", "python", "toml"]
