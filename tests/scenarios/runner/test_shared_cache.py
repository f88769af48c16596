"""The cache of a team: any place that fsspec knows, asked seldom, and done without when it does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from faena.errors import ConfigurationError
from faena.runner.cache import Cache, Folder, Shared
from faena.runner.files import digest, look

fsspec = pytest.importorskip("fsspec")

BIG = b"x" * 10_000
TASKS = """
@task(sources=["in"], outputs=["out", "big"])
def build(c):
    c.run("cp in out; head -c 5000 /dev/zero > big; echo built")

@task(each="src/*", outputs="up/{name}")
def upper(c, source, output):
    open(output, "w").write(open(source).read().upper())
"""


def made(folder: Path, **contents: bytes) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: look(str(folder / name), None) for name in contents}


@pytest.fixture
def url():
    """An empty place in memory, of this test alone."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield "memory://team/cache"
    files.store.clear()


def test_what_one_keeps_another_restores(tmp_path, url):
    ours = Cache(Shared(url, Folder(str(tmp_path / "front one"))))
    outputs = made(tmp_path / "one", small=b"small", big=BIG)
    ours.keep(digest(b"key"), str(tmp_path / "one"), outputs, [("stdout", b"words\n")])
    ours.flush()
    names = sorted(name.rsplit("/", 3)[-3] for name in fsspec.filesystem("memory").store)
    assert names == ["blobs", "entries"]  # the small content stands in the entry
    theirs = Cache(Shared(url, Folder(str(tmp_path / "front two"))))
    (tmp_path / "two").mkdir()
    assert theirs.restore(digest(b"other"), str(tmp_path / "two")) is None
    assert theirs.restore(digest(b"key"), str(tmp_path / "two")) == [("stdout", b"words\n")]
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").glob("[a-z]*")} == {"small": b"small", "big": BIG}


def test_contents_come_before_the_entries_that_name_them_and_nothing_before_its_time(tmp_path, url):
    place = Shared(url, Folder(str(tmp_path / "front")))
    cache = Cache(place)
    cache.keep(digest(b"key"), str(tmp_path / "one"), made(tmp_path / "one", big=BIG), [])
    assert list(fsspec.filesystem("memory").store) == []
    cache.flush()
    assert [name.rsplit("/", 3)[-3] for name in fsspec.filesystem("memory").store] == ["blobs", "entries"]


def test_many_files_are_asked_for_together(tmp_path, url):
    ours = Cache(Shared(url, Folder(str(tmp_path / "front one"))))
    for number in range(20):
        outputs = made(tmp_path / "one", **{f"f{number}": str(number).encode()})
        ours.keep(digest(str(number).encode()), str(tmp_path / "one"), outputs, [])
    ours.flush()
    front = Folder(str(tmp_path / "front two"))
    theirs = Cache(Shared(url, front))
    theirs.expect(digest(str(number).encode()) for number in range(30))  # ten of them nobody has
    assert len(front.files()) == 20


def test_a_damaged_content_is_not_taken(tmp_path, url):
    ours = Cache(Shared(url, Folder(str(tmp_path / "front one"))))
    ours.keep(digest(b"key"), str(tmp_path / "one"), made(tmp_path / "one", big=BIG), [])
    ours.flush()
    files = fsspec.filesystem("memory")
    (blob,) = [name for name in files.store if "/blobs/" in name]
    files.pipe_file(blob, b"something else")
    (tmp_path / "two").mkdir()
    assert Cache(Shared(url, Folder(str(tmp_path / "front two")))).restore(digest(b"key"), str(tmp_path / "two")) is None
    assert list((tmp_path / "two").iterdir()) == []


def test_a_place_that_does_not_answer_is_told_about_once_and_done_without(tmp_path, capsys):
    from fsspec.implementations.memory import MemoryFileSystem

    class Broken(MemoryFileSystem):
        protocol = "broken"
        asked = 0

        def cat_file(self, path, start=None, end=None, **kwargs):
            Broken.asked += 1
            raise TimeoutError("nobody answers")

        exists = cat_file

    fsspec.register_implementation("broken", Broken, clobber=True)
    cache = Cache(Shared("broken://team", Folder(str(tmp_path / "front"))))
    outputs = made(tmp_path / "one", big=BIG)
    (tmp_path / "two").mkdir()
    assert cache.restore(digest(b"key"), str(tmp_path / "two")) is None
    cache.keep(digest(b"key"), str(tmp_path / "one"), outputs, [])
    cache.flush()
    assert cache.restore(digest(b"key"), str(tmp_path / "two")) == []  # the local front has it all the same
    assert capsys.readouterr().err == "fa: the shared cache broken://team is not used: TimeoutError: nobody answers\n"
    assert Broken.asked == 1


def test_a_kind_of_place_that_nobody_knows_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cache nosuch://x: .*nosuch"):
        Shared("nosuch://x", Folder(str(tmp_path)))


def build_and_forget(project, env=None):
    """Build everything, then be another machine: no outputs, no records, no local cache."""
    project.tasks(TASKS)
    project.write("in", "1")
    for name in "abc":
        project.write(f"src/{name}", name)
    found = project.fa("build", "upper", env=env)
    assert (found.lines, found.stderr) == (["built", "upper: made 3 of 3 targets"], "")
    shutil.rmtree(project.folder / ".faena")
    shutil.rmtree(project.folder / "up")
    (project.folder / "out").unlink()
    (project.folder / "big").unlink()


RESTORED = ["built", "build: restored from the cache", "upper: made 3 of 3 targets, 3 of them from the cache"]


def test_a_folder_is_shared_by_its_url(project, tmp_path_factory):
    project.write("invoke.json", json.dumps({"cache": f"file://{tmp_path_factory.mktemp('shared')}"}))
    build_and_forget(project)
    assert project.fa("build", "upper").lines == RESTORED
    assert (project.folder / "up" / "b").read_text() == "B"


@contextlib.contextmanager
def s3_server(folder: Path):
    """A server that speaks S3, on this machine alone; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(folder / "s3.log", "wb") as log:
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "s3.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_a_bucket_is_shared_by_its_url(project):
    """Needs `pip install --group shared`: the server is a large thing, and no dependency of ours."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    s3fs = pytest.importorskip("s3fs")
    with s3_server(project.folder) as address:
        env = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": address,
               "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}  # fmt: skip
        files = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=address)
        files.mkdir("team")
        project.write("invoke.json", json.dumps({"cache": "s3://team/cache"}))
        build_and_forget(project, env)
        assert len(files.find("team/cache/entries")) == 4
        assert sorted(project.fa("build", "upper", "-j2", env=env).lines) == sorted(RESTORED)
        assert (project.folder / "up" / "b").read_text() == "B"
        assert os.path.getsize(project.folder / "big") == 5000
    shutil.rmtree(project.folder / ".faena")
    (project.folder / "out").unlink()
    found = project.fa("build", env=env)  # the server is gone
    assert (found.lines, found.status) == (["built"], 0)
    assert found.stderr.startswith("fa: the shared cache s3://team/cache is not used: ")
    assert len(found.stderr.splitlines()) == 1
