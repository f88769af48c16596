"""What becomes of schedules in the backend when several versions of the code declare them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from faena import Faena
from faena._lib.drive import run
from faena._lib.ids import new_id
from faena.backends.absent import AbsentBackend
from faena.drivers.memory.state import forget
from faena.errors import NotSupported
from faena.model.schedule import Manifest
from faena.scheduler import declaring
from faena.scheduler.declaring import Declarer


@pytest.fixture
def url():
    url = f"memory://declaring-{new_id()}"
    yield url
    forget(url)


def version(url: str, main: str = "shop", **schedules: object) -> Faena:
    """One version of the code of an app: its schedules by name, each an interval or a whole entry."""
    app = Faena(main, broker=url, set_as_current=False)
    app.task(name="shop.tick")(lambda: None)
    app.conf.beat_schedule = {
        name: each if isinstance(each, dict) else {"task": "shop.tick", "schedule": each}
        for name, each in schedules.items()
    }
    return app


def start(app: Faena) -> Declarer:
    """Do as a worker does that starts."""
    declarer = Declarer(app)
    look(app, declarer)
    return declarer


def look(app: Faena, declarer: Declarer) -> None:
    """Do as a worker does some time later."""
    declarer._again_at_s = 0.0
    run(declarer.keep(app.connection()))


def end(app: Faena) -> None:
    """Let what a worker has declared be over: it has stopped, some time ago."""
    manifest = app.declared.manifest(app.declared.schedules())
    run(app.connection().backend.schedules.declare(manifest, -1.0))


def present(app: Faena) -> dict[str, float]:
    """The schedules and their intervals."""
    return {each.schedule.name: each.schedule.timing.every_ms / 1000 for each in app.schedules.list()}


def test_what_is_declared_is_there_and_goes_when_nobody_declares_it_any_more(url):
    old, new = version(url, a=10, b=20), version(url, b=20, c=30)
    start(old)
    assert present(old) == {"a": 10, "b": 20}
    declarer = start(new)
    assert present(new) == {"a": 10, "b": 20, "c": 30}, "the old version still runs"
    end(old)
    look(new, declarer)
    assert present(new) == {"b": 20, "c": 30}


def test_an_old_version_that_looks_again_or_starts_again_changes_nothing(url):
    old, new = version(url, a=10), version(url, a=15)
    first = start(old)
    start(new)
    assert present(new) == {"a": 15}
    look(old, first)
    start(old)
    assert present(new) == {"a": 15}


def test_a_roll_back_brings_the_old_declaration_back(url):
    old, new = version(url, a=10), version(url, a=15)
    start(old)
    start(new)
    declarer = start(old)
    end(new)
    look(old, declarer)
    assert present(old) == {"a": 10}
    start(new)
    assert present(old) == {"a": 10}, "the version that was rolled back is the outdated one now"


def test_what_was_edited_stays_until_its_declaration_changes(url):
    app = version(url, a=10)
    start(app)
    app.schedules.edit("a", schedule=99)
    app.schedules.pause("a")
    start(app)
    standing = app.schedules.get("a")
    assert (present(app), standing.is_edited, standing.is_paused) == ({"a": 99}, True, True)
    start(version(url, a=20))
    standing = app.schedules.get("a")
    assert (present(app), standing.is_edited, standing.is_paused) == ({"a": 20}, False, True)


def test_a_declaration_that_changes_in_another_way_counts_from_where_it_was(url):
    app = version(url, a=600)
    start(app)
    before = app.schedules.get("a")
    start(version(url, a={"task": "shop.tick", "schedule": 600, "args": [], "overlap": "skip"}))
    after = app.schedules.get("a")
    assert after.schedule.overlap == "skip"
    assert (after.next_s, after.schedule.timing) == (before.next_s, before.schedule.timing)


def test_schedules_of_others_and_of_nobody_are_left_alone(url, caplog):
    shop, mill = version(url, a=10, same=1), version(url, "mill", b=20, same=2)
    start(shop)
    shop.schedules.add("by-hand", "shop.tick", 5)
    start(mill)
    assert present(shop) == {"a": 10, "b": 20, "same": 1, "by-hand": 5}
    assert "schedule 'same' is declared by app 'shop', too; name one of them otherwise" in caplog.text
    start(version(url, "mill"))
    end(mill)
    start(version(url, "mill"))
    assert present(shop) == {"a": 10, "same": 1, "by-hand": 5}


def test_code_that_declares_what_was_added_by_hand_owns_it(url):
    app = version(url, a=10)
    app.schedules.add("a", "shop.tick", 5)
    start(app)
    assert (present(app), app.schedules.get("a").app) == ({"a": 10}, "shop")


def test_one_that_was_removed_comes_back_with_the_next_worker_that_starts(url):
    app = version(url, a=10)
    declarer = start(app)
    app.schedules.remove("a")
    look(app, declarer)
    assert present(app) == {}
    start(app)
    assert present(app) == {"a": 10}


def test_an_app_that_declares_nothing_asks_no_more(url, monkeypatch):
    app = version(url)
    declarer = start(app)
    app.close()
    app.links.forget()
    monkeypatch.setattr(declaring, "REPEAT_S", 0.0)
    backend = app.connection().backend
    monkeypatch.setattr(type(backend), "schedules", property(lambda _: pytest.fail("it was asked")))
    run(declarer.keep(app.connection()))


def test_the_key_of_a_manifest_is_what_it_declares():
    one, other = Manifest("shop", {"a": "1", "b": "2"}), Manifest("shop", {"b": "2", "a": "1"})
    assert one.key == other.key
    assert one.key != replace(one, digests={"a": "1"}).key


class _Link:
    """A link whose broker keeps no results, so that there is no backend."""

    backend = AbsentBackend("amqp://localhost")


def test_without_a_backend_what_is_declared_is_refused_once_and_nothing_else_is_said(url):
    quiet = Declarer(version(url))
    run(quiet.keep(_Link()))
    run(quiet.keep(_Link()))
    loud = Declarer(version(url, a=10))
    with pytest.raises(NotSupported, match="set `result_backend`"):
        run(loud.keep(_Link()))
    run(loud.keep(_Link()))
