"""What `faena doctor` looks at. Each check answers with findings; none changes anything, nor makes a file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from faena._lib.drive import run
from faena.app.discovery import explained
from faena.app.pausing import statuses
from faena.backend import WITHOUT_BACKEND, has_backend
from faena.cli.findings import Finding
from faena.cli.output import ago, size_of
from faena.cli.session import Session
from faena.config.secrets import mask_text
from faena.config.settings import Settings
from faena.errors import AppNotFound, ConfigurationError, FaenaError, nearest
from faena.model.queue import broadcasts_in, copies_of

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.links import Link
    from faena.backend import Backend
    from faena.broker import Broker
    from faena.model.control import WorkerInfo

_LEAST_SQLITE = (3, 35, 0)  # RETURNING: https://www.sqlite.org/lang_returning.html
_LITTLE_SPACE_BYTES, _NO_SPACE_BYTES = 500 * 1024**2, 20 * 1024**2
_SKEW_S = 5.0
_EXTRAS = {
    "uvloop": ("uvloop", "a faster event loop in worker processes"),
    "watch": ("watchfiles", "faena worker --reload, fa --watch"),
    "redis": ("hiredis", "Redis or Valkey"),
    "rabbitmq": ("aiormq", "RabbitMQ"),
    "pydantic": ("pydantic", "arguments that are its models"),
    "cache": ("fsspec", "the build cache of fa on other file systems"),
    "metrics": ("prometheus_client", "faena worker --metrics-port"),
    "yaml": ("yaml", "fa configured in YAML"),
}


def examine(session: Session) -> Iterator[Finding]:
    """Look at everything, from the interpreter to the queues; what an earlier failure hides is left out."""
    yield _python()
    yield _sqlite()
    yield from _extras()
    settings, findings = _settings()
    yield from findings
    if settings is None:
        return
    app, findings = _app(session)
    yield from findings
    if app is None:
        return
    yield from _tasks(app)
    broker_url, backend_url = app.links.urls()
    brokers = {url: f"broker {name}".rstrip() for name, (url, _) in app.links.places().items()}
    is_there = True
    for url in dict.fromkeys((*brokers, backend_url)):
        storage = list(_storage(url, brokers.get(url, "backend"))) if url.startswith("sqlite:") else []
        yield from storage
        is_there = is_there and not any(each.status == "fail" or each.text.endswith(_NOT_YET) for each in storage)
    if not is_there:
        if app.links.homes is None and not broker_url.startswith("sqlite:"):  # a server has nothing to do with the file
            yield from _broker_alone(app, broker_url)
        return
    link, findings = _connection(session, brokers, backend_url)
    yield from findings
    if link is not None:
        yield from _servers(app, link.broker, link.backend)
        yield from _declared_queues(app)
        yield from _running(app, link)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version} at {sys.executable}")


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        least = ".".join(map(str, _LEAST_SQLITE))
        return Finding("sqlite", "fail", sqlite3.sqlite_version, f"the embedded broker needs SQLite {least} or newer")
    return Finding("sqlite", "ok", sqlite3.sqlite_version)


def _extras() -> Iterator[Finding]:
    there = [extra for extra, (module, _) in _EXTRAS.items() if find_spec(module) is not None]
    missing = [f"{extra} ({what})" for extra, (_, what) in _EXTRAS.items() if extra not in there]
    text = f"installed: {', '.join(there) or 'none'}"
    if missing:
        text += f"\nnot installed: {', '.join(missing)}: pip install 'faena[NAME]'"
    yield Finding("extras", "ok", text)


def _settings() -> tuple[Settings | None, Sequence[Finding]]:
    settings = Settings()
    try:
        rows = settings.explain()
    except ConfigurationError as error:
        return None, [Finding("settings", "fail", str(error), "correct it, then look again with: faena config --explain")]
    sources = sorted({row.source for row in rows if row.source != "default"})
    said = sum(row.source != "default" for row in rows)
    text = f"{said} said outside of code, by {', '.join(sources)}" if said else "nothing said outside of code"
    findings = [Finding("settings", "ok", f"{text}; project folder {settings.project.folder}")]
    for unknown in settings.unknown_variables():
        advice = f"did you mean {unknown.suggestion}?" if unknown.suggestion else "remove it, or correct its name"
        findings.append(Finding("variables", "warn", f"{unknown.where} is no setting", advice))
    return settings, findings


def _app(session: Session) -> tuple[Faena | None, Sequence[Finding]]:
    try:
        app = session.any_app
        app.conf.resolve()
    except AppNotFound as error:
        advice = "see the traceback above" if error.__cause__ is not None else "go to its folder, or name it with -A"
        return None, [Finding("app", "fail", explained(error), advice)]
    except FaenaError as error:
        return None, [Finding("app", "fail", str(error), "correct the setting where it is said")]
    return app, [Finding("app", "ok", f"'{app.main or 'faena'}'")]


def _tasks(app: Faena) -> Iterator[Finding]:
    if not app.tasks:
        yield Finding(
            "tasks", "warn", "none", "declare them with @app.task, and name their modules in the setting 'include'"
        )
    else:
        yield Finding("tasks", "ok", str(len(app.tasks)))


# -- the embedded file -------------------------------------------------------------------------------------

_NOT_YET = "not there yet; made on first use"


def _storage(url: str, what: str) -> Iterator[Finding]:
    from faena.drivers.sqlite.location import locate

    name = f"{what} file"
    path = locate(url, {}).path
    folder = _nearest_folder(os.path.dirname(path))
    free_bytes = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(name, "fail", f"{path}: folder {folder} cannot be written", f"let this user write there: {folder}")
        return
    if not os.path.exists(path):
        yield Finding(name, "ok", f"{path}: {_NOT_YET}")
    else:
        yield _file(name, path)
    if free_bytes < _NO_SPACE_BYTES:
        yield Finding("disk space", "fail", f"{size_of(free_bytes)} left at {folder}", "make room: nothing can be sent")
    elif free_bytes < _LITTLE_SPACE_BYTES:
        yield Finding("disk space", "warn", f"{size_of(free_bytes)} left at {folder}", "make room before it is full")
    else:
        yield Finding("disk space", "ok", f"{size_of(free_bytes)} free")


def _nearest_folder(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _file(name: str, path: str) -> Finding:
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding(
            name, "fail", f"{path} cannot be read and written", "give it to the user that runs client and worker"
        )
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        return Finding(name, "fail", f"{path} is no file", "name another file in broker_url")
    text = f"{path}: {size_of(found.st_size)}"
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.filemode(found.st_mode)
        return Finding(
            name, "warn", f"{text}, {mode}: others can read arguments and results", f"unless they should: chmod 600 {path}"
        )
    return Finding(name, "ok", text)


# -- what runs ---------------------------------------------------------------------------------------------


def _connection(session: Session, brokers: Mapping[str, str], backend_url: str) -> tuple[Link | None, Sequence[Finding]]:
    shown = mask_text(next(iter(brokers))) if len(brokers) == 1 else mask_text(backend_url)
    if backend_url not in brokers:
        shown = f"{shown}, results in {mask_text(backend_url)}" if len(brokers) == 1 else f"results in {shown}"
    try:
        link = session.link
        run(link.backend.mailbox.workers())
    except FaenaError as error:
        return None, [Finding("connection", "fail", f"{shown}: {error}", "is it running, and is the URL right?")]
    return link, [Finding("connection", "ok", shown), *_parts(session.any_app, link)]


def _parts(app: Faena, link: Link) -> Iterator[Finding]:
    """Try each of several brokers by itself."""
    for name in () if app.links.homes is None else app.links.homes.names:
        shown = mask_text(app.links.places()[name][0])
        try:
            run(link.broker.parts.by_name[name].ready())  # type: ignore[attr-defined]  # it is several
        except (FaenaError, OSError) as error:
            yield Finding(f"broker {name}", "fail", f"{shown}: {error}", "its queues stand still; the others go on")
        else:
            yield Finding(f"broker {name}", "ok", shown)


def _broker_alone(app: Faena, url: str) -> Iterator[Finding]:
    """Look at a broker without its backend."""
    broker = app.links.broker("blocking")
    try:
        run(broker.open())
    except FaenaError as error:
        yield Finding("connection", "fail", f"{mask_text(url)}: {error}", "is it running, and is the URL right?")
        return
    yield from _servers(app, broker, None)
    run(broker.close())


def _servers(app: Faena, broker: Broker, backend: Backend | None) -> Iterator[Finding]:
    parts, homes, queues = getattr(broker, "parts", None), app.links.homes, app.default_queues()
    brokers: dict[str, object] = (
        {"": broker} if parts is None else {name: each.broker for name, each in parts.by_name.items() if not each.is_sick}
    )
    drivers = [getattr(each, "driver", None) for each in (*brokers.values(), backend)]
    for driver in dict.fromkeys(each for each in drivers if type(each).__module__.startswith("faena.drivers.redis")):
        from faena.cli.redis_checks import redis_findings  # needs a package that may not be there

        yield from redis_findings(driver)
    for name, driver in zip(brokers, drivers, strict=False):
        if type(driver).__module__.startswith("faena.drivers.rabbitmq"):
            from faena.cli.rabbitmq_checks import rabbitmq_findings

            own = queues if homes is None else homes.parted(queues).get(name, ())
            yield from rabbitmq_findings(driver, own, has_backend=backend is None or has_backend(backend))


def _running(app: Faena, link: Link) -> Iterator[Finding]:
    workers = run(link.backend.mailbox.workers())
    if not has_backend(link.backend):
        yield Finding("backend", "warn", WITHOUT_BACKEND, "set it to redis://... or sqlite:///..., unless that is meant")
        yield Finding("workers", "ok", "without a backend nobody sees which are there")
    elif workers:
        yield Finding("workers", "ok", ", ".join(f"{worker.name} ({worker.concurrency})" for worker in workers))
    else:
        yield Finding("workers", "warn", "none is running", "start one with: faena worker")
    yield _clock(workers)
    yield from _queues(app, link, workers)


def _declared_queues(app: Faena) -> Iterator[Finding]:
    """Say what a worker of this app would refuse of its queues."""
    from faena.worker.choice import chosen

    try:
        chosen(app, (), ())
    except ConfigurationError as error:
        yield Finding("queues", "fail", str(error), "correct it in task_queues, or choose another broker")


def _clock(workers: Sequence[WorkerInfo]) -> Finding:
    now_s = time.time()
    ahead = [worker for worker in workers if worker.seen_at_s > now_s + _SKEW_S]
    if ahead:
        texts = [f"{worker.name} is {ago(worker.seen_at_s - now_s)} ahead" for worker in ahead]
        return Finding("clock", "warn", "; ".join(texts), "let the machines keep the same time (NTP)")
    return Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now_s)))


def _queues(app: Faena, link: Link, workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    known, broadcasts = set(app.default_queues()), broadcasts_in(app.queues)
    consumed = {queue for worker in workers for queue in worker.queues}
    consumed |= {copies_of(queue, worker.name) for worker in workers for queue in worker.queues if queue in broadcasts}
    found = run(statuses(link))
    findings = []
    for status in found:
        waiting = f"'{status.name}' has {status.waiting:,} waiting"
        if status.paused:
            findings.append(
                Finding("queues", "warn", f"'{status.name}' is paused", f"go on with: faena queues resume {status.name}")
            )
        elif status.waiting and status.name not in consumed and has_backend(link.backend):
            meant = nearest(status.name, consumed or known)
            hint = f"; did you mean '{meant}' where it is sent?" if meant and status.name not in known else ""
            findings.append(
                Finding(
                    "queues", "warn", f"{waiting}, and no worker", f"start one with: faena worker -Q {status.name}{hint}"
                )
            )
        if status.dead:
            findings.append(
                Finding(
                    "queues", "warn", f"'{status.name}' has {status.dead:,} dead letters", "look at them with: faena dead"
                )
            )
    well = "; every one that holds something has a worker" if has_backend(link.backend) else ""
    yield from findings or [Finding("queues", "ok", f"{len(found)}{well}")]
