"""What a task builds can be broken in any way: the task fails with it, and nothing else is harmed."""

import pytest

from faena import Faena, chain
from faena.errors import InvalidArguments, WorkflowError
from faena.testing import in_memory, run_pending


@pytest.fixture
def app():
    with in_memory(Faena("broken", set_as_current=False)) as app:
        yield app


@pytest.mark.parametrize(
    ("name", "build", "error"),
    [
        ("no name", lambda app: app.signature(5), WorkflowError),
        ("no steps", lambda app: chain(), WorkflowError),
        ("bad option", lambda app: app.signature("x").set(queue="a,b"), InvalidArguments),
        ("bad moment", lambda app: app.signature("x").set(countdown="soon"), Exception),
        ("no canvas", lambda app: 7, WorkflowError),
    ],
)
@pytest.mark.parametrize("way", ["replace", "return", "add"])
def test_a_broken_canvas_fails_its_task_and_not_the_worker(app, name, build, error, way):
    @app.task(bind=True, returns_signature=True, name="odd")
    def odd(self):
        built = build(app)
        if way == "replace":
            raise self.replace(built)
        if way == "add":
            self.add_to_chord(built)
            return None
        return built

    @app.task(name="well")
    def well():
        return 1

    from faena import group

    result = group(odd.s()).delay() if way == "add" else odd.delay()
    after = well.delay()
    run_pending(app)
    assert after.get() == 1
    if (name, way) == ("no canvas", "return"):
        assert result.get() == 7
    else:
        with pytest.raises(error):
            result.get()


def test_a_signature_written_as_data_is_taken_back_by_the_app(app):
    @app.task(name="inc")
    def inc(n):
        return n + 1

    canvas = chain(inc.s(1), inc.s())
    again = app.signature(canvas.as_dict())
    result = again.delay()
    run_pending(app)
    assert (again, result.get()) == (canvas, 3)


def test_a_canvas_written_as_data_with_an_unknown_policy_is_refused_as_any_other_that_is_wrong(app):
    with pytest.raises(WorkflowError, match=r"unknown policy 'skp' of a canvas; did you mean 'skip'\?"):
        app.signature({"kind": "task", "task": "x", "policy": "skp"})
