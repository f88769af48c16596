"""Canvas as plain data and back: to be kept in JSON, sent as an argument, or written by another program.

    {"kind": "task", "task": "shop.add", "args": [1, 2], "kwargs": {}, "options": {"queue": "mail"}, "immutable": false}
    {"kind": "chain", "tasks": [...]}
    {"kind": "group", "tasks": [...]}
    {"kind": "chord", "header": [...], "body": {...}}

`policy` ("skip", "continue") and `options` stand only where they say something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from faena.errors import WorkflowError, did_you_mean
from faena.model.workflow import Policy
from faena.tasks.canvas import Canvas, Chain, Chord, Group, links_in
from faena.tasks.dispatcher import Dispatcher
from faena.tasks.options import SendOptions, check_send_options
from faena.tasks.signature import Signature

_LINKS = ("link", "link_error")
_KINDS = ("task", "chain", "group", "chord")


def as_dict(canvas: Canvas[Any]) -> dict[str, Any]:
    """Return a canvas as plain data; its arguments stay as they are."""
    found: dict[str, Any]
    match canvas:
        case Signature():
            found = {"kind": "task", "task": canvas.task, "args": list(canvas.args), "kwargs": dict(canvas.kwargs)}
            if canvas.immutable:
                found["immutable"] = True
        case Chain():
            found = {"kind": "chain", "tasks": [as_dict(task) for task in canvas.tasks]}
        case Group():
            found = {"kind": "group", "tasks": [as_dict(task) for task in canvas.tasks]}
        case Chord():
            body = None if canvas.body is None else as_dict(canvas.body)
            found = {"kind": "chord", "header": [as_dict(task) for task in canvas.tasks], "body": body}
        case _:
            raise WorkflowError("", f"{canvas!r} cannot be written as data")
    if canvas.options:
        options: dict[str, Any] = dict(canvas.options)
        for name in _LINKS:
            if links := links_in(options, name):
                options[name] = [as_dict(link) for link in links]
        found["options"] = options
    if canvas.policy is not Policy.FAIL:
        found["policy"] = canvas.policy.value
    return found


def canvas_from(data: Mapping[str, Any], app: Dispatcher) -> Canvas[Any]:
    """Return the canvas that `as_dict` gave. Raises WorkflowError: it is none."""
    kind = data.get("kind", "task")
    options = dict(data.get("options") or {})
    for name in _LINKS:
        if name in options:
            options[name] = [canvas_from(_mapping(each), app) for each in options[name]]
    check_send_options(str(data.get("task", kind)), options)
    policy = _policy_of(data.get("policy", Policy.FAIL))
    given = cast("SendOptions", options)
    try:
        match kind:
            case "task":
                return Signature(
                    data["task"], data.get("args") or (), data.get("kwargs"), given,
                    immutable=bool(data.get("immutable")), dispatcher=app, policy=policy,
                )  # fmt: skip
            case "chain":
                return Chain(_all_of(data["tasks"], app), options=given, app=app, policy=policy)
            case "group":
                return Group(_all_of(data["tasks"], app), options=given, app=app, policy=policy)
            case "chord":
                body = None if data.get("body") is None else canvas_from(data["body"], app)
                return Chord(_all_of(data["header"], app), body, options=given, app=app, policy=policy)
    except KeyError as error:
        raise WorkflowError("", f"a {kind} written as data has no {error}") from None
    raise WorkflowError("", f"unknown kind of canvas '{kind}'{did_you_mean(str(kind), _KINDS)}")


def _policy_of(word: Any) -> Policy:
    try:
        return Policy(word)
    except ValueError:
        known = [each.value for each in Policy]
        raise WorkflowError("", f"unknown policy {word!r} of a canvas{did_you_mean(str(word), known)}") from None


def _all_of(items: Any, app: Dispatcher) -> list[Canvas[Any]]:
    return [canvas_from(_mapping(each), app) for each in items]


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise WorkflowError("", f"a canvas written as data is a mapping, not {value!r}")
    return value
