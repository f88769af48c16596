"""The settings of faena: each is declared here, once.

Names are Celery's where the thing exists there. A text says what the setting does; type, unit, default and limits are
said by the declaration and are not repeated in it. `docs/reference/settings.md` is made from this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from faena.config.declaration import setting
from faena.config.layered import Layered
from faena.errors import InvalidQueue

_NO_EXCHANGES = (
    "Taken for the sake of configurations written for Celery, and without effect: a message reaches a queue by its name."
)
MOST_PROCESSES = 1024  # of one worker: beyond it was a slip of the hand, and would take the machine along
_LEVELS = {"warn": "WARNING", "fatal": "CRITICAL"}


def _refuse_unknown_zone(name: str) -> str | None:
    if name == "UTC":
        return None
    from zoneinfo import ZoneInfo  # only for those who live elsewhere

    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return "no time zone of this name is known; expected one such as 'Europe/Madrid'"
    return None


def _refuse_bad_queues(declared: Any) -> str | None:
    from faena.model.queue import queues_of  # only for those who declare some

    try:
        queues_of(declared)
    except InvalidQueue as error:
        return str(error)
    return None


def _refuse_bad_brokers(brokers: Mapping[str, Any]) -> str | None:
    for name, said in brokers.items():
        if not name.isprintable() or not name or "," in name:
            return f"a broker is named by a printable text without a comma, not {name!r}"
        url = said.get("url") if isinstance(said, Mapping) else said
        if not isinstance(url, str) or not url:
            return f"of broker '{name}' a URL is expected, or a mapping of 'url' and 'options'"
        if isinstance(said, Mapping):
            options = said.get("options", {})
            if said.keys() - {"url", "options"} or not isinstance(options, Mapping):
                return f"of broker '{name}' a mapping says 'url', and 'options', which is a mapping, too"
    return None


def _refuse_bad_rate(rate: str | float) -> str | None:
    from faena.model.limit import parse_rate  # the same

    try:
        parse_rate(rate)
    except ValueError as error:
        return str(error)
    return None


def _refuse_bad_address(address: str) -> str | None:
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and int(port) < 65536:
        return None
    return "expected HOST:PORT, such as '127.0.0.1:8081'"


class Settings(Layered):
    """What can be set, with its type and default. See `Layered` for where values come from."""

    # -- general -------------------------------------------------------------------------------------------

    app: str | None = setting(
        None,
        text="Where the command line finds the app when -A is not given: 'module', 'module:attribute' or 'package'.",
    )
    imports: Sequence[str] = setting(
        (),
        formerly=("CELERY_IMPORTS",),
        text="Modules that a worker imports when it starts, so that their tasks are known.",
    )
    include: Sequence[str] = setting(
        (), formerly=("CELERY_INCLUDE",), text="More modules to import, after those of `imports`."
    )
    timezone: str = setting(
        "UTC",
        formerly=("CELERY_TIMEZONE",),
        check=_refuse_unknown_zone,
        text="Time zone of moments without one, and of what people are shown.",
    )
    enable_utc: bool = setting(
        True,
        formerly=("CELERY_ENABLE_UTC",),
        text="Taken for the sake of configurations written for Celery, and without effect: messages always carry UTC, and "
        "a moment without a time zone is read in `timezone`.",
    )

    # -- broker and backend --------------------------------------------------------------------------------

    broker_url: str | None = setting(
        None,
        secret=True,
        formerly=("BROKER", "BROKER_URL", "BROKER_HOST", "CELERY_BROKER_URL"),
        text="Where messages are kept until a worker takes them. None: the file `.faena/faena.db` in the project's folder.",
    )
    brokers: Mapping[str, Any] = setting(
        {},
        secret=True,
        check=_refuse_bad_brokers,
        text="Several brokers in the place of `broker_url`, each with a name of its own: its URL, or a mapping of `url` "
        "and `options`. A queue lives on the one that `task_queues` or `task_routes` says; all others live on 'default' if "
        "one is called so, else on the first.",
    )
    broker_transport_options: Mapping[str, Any] = setting(
        {}, secret=True, formerly=("BROKER_TRANSPORT_OPTIONS",), text="Options of the broker's adapter."
    )
    result_backend: str | None = setting(
        None,
        secret=True,
        formerly=("CELERY_RESULT_BACKEND",),
        text="Where results are kept. None: the broker itself, if it can keep results.",
    )
    result_backend_transport_options: Mapping[str, Any] = setting(
        {},
        secret=True,
        formerly=("CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS",),
        text="Options of the backend's adapter.",
    )

    # -- what travels --------------------------------------------------------------------------------------

    task_serializer: str = setting("json", formerly=("CELERY_TASK_SERIALIZER",), text="Codec of the arguments of tasks.")
    result_serializer: str = setting("json", formerly=("CELERY_RESULT_SERIALIZER",), text="Codec of results.")
    accept_content: Sequence[str] = setting(
        ("json",),
        formerly=("CELERY_ACCEPT_CONTENT",),
        text="Codecs that are decoded; a message in any other is refused. Name `pickle` here only if everybody who can "
        "reach the broker may run code on the workers.",
    )
    result_accept_content: Sequence[str] | None = setting(
        None,
        formerly=("CELERY_RESULT_ACCEPT_CONTENT",),
        text="Codecs of results that are decoded. None: those of `accept_content`.",
    )

    # -- queues --------------------------------------------------------------------------------------------

    task_default_queue: str = setting(
        "default",
        formerly=("CELERY_DEFAULT_QUEUE",),
        text="Queue of a task that names none and that no route sends elsewhere.",
    )
    task_default_priority: int = setting(
        4,
        minimum=0,
        maximum=9,
        formerly=("CELERY_TASK_DEFAULT_PRIORITY",),
        text="Priority of a task that names none; a higher number runs first.",
    )
    task_queues: Mapping[str, Any] | Sequence[Any] | None = setting(
        None,
        formerly=("CELERY_QUEUES",),
        check=_refuse_bad_queues,
        text="Queues that a worker takes from unless -Q names others, and what is special about them: names, "
        "`faena.Queue(...)`, or mappings with `name` and the options of one. None: the default queue, those of "
        "`task_routes`, and those that registered tasks name.",
    )
    task_create_missing_queues: bool = setting(
        True,
        formerly=("CELERY_CREATE_MISSING_QUEUES",),
        text="Whether a queue that `task_queues` does not declare may be used. With `false`, sending to one, and a worker "
        "told to take from one, is an error that suggests the nearest name.",
    )
    task_routes: Mapping[Any, Any] | Sequence[Any] | Callable[..., Any] | str | None = setting(
        None,
        formerly=("CELERY_ROUTES",),
        text="Which queue a task goes to: a mapping from names, globs or compiled patterns to a queue or to options, a "
        "list of pairs tried in order, or a function (name, args, kwargs, options) that returns one of those or "
        "None; it may be named, as 'module.function'.",
    )

    task_default_exchange: str | None = setting(None, formerly=("CELERY_DEFAULT_EXCHANGE",), text=_NO_EXCHANGES)
    task_default_exchange_type: str | None = setting(None, formerly=("CELERY_DEFAULT_EXCHANGE_TYPE",), text=_NO_EXCHANGES)
    task_default_routing_key: str | None = setting(None, formerly=("CELERY_DEFAULT_ROUTING_KEY",), text=_NO_EXCHANGES)
    task_queue_max_priority: int | None = setting(
        None,
        formerly=("CELERY_QUEUE_MAX_PRIORITY",),
        text="Taken for the sake of configurations written for Celery, and without effect: every queue has the priorities "
        "0 to 9.",
    )

    # -- tasks ---------------------------------------------------------------------------------------------

    task_always_eager: bool = setting(
        False,
        formerly=("CELERY_ALWAYS_EAGER", "CELERY_TASK_ALWAYS_EAGER"),
        text="Run tasks in the caller's process instead of sending them. For tests of the caller; the app of "
        "`faena.testing` is nearer to production.",
    )
    task_eager_propagates: bool = setting(
        False,
        formerly=("CELERY_EAGER_PROPAGATES_EXCEPTIONS", "CELERY_TASK_EAGER_PROPAGATES"),
        text="Whether an exception of a task that runs in the caller's process is raised there at once.",
    )
    task_default_rate_limit: str | float | None = setting(
        None,
        check=_refuse_bad_rate,
        formerly=("CELERY_DEFAULT_RATE_LIMIT", "CELERY_TASK_DEFAULT_RATE_LIMIT"),
        text="Rate limit of a task that names none, over all workers: '10/s', '100/m', '1000/h', or a number of tasks per "
        "second. 0 or None: no limit.",
    )
    task_publish_retry: bool = setting(
        True,
        formerly=("CELERY_TASK_PUBLISH_RETRY",),
        text="Whether sending is tried again, within `task_publish_timeout`, while the broker cannot be reached.",
    )
    task_publish_timeout: float = setting(
        5.0, unit="s", text="How long a call may wait for the broker before it raises BrokerUnavailable."
    )
    task_acks_late: bool = setting(
        True,
        formerly=("CELERY_ACKS_LATE",),
        text="Acknowledge after the run, so that the task of a killed worker runs again. With `false` it runs once at most "
        "and, when its worker dies, fails with `WorkerLostError` and becomes a dead letter.",
    )
    task_track_started: bool = setting(
        False, formerly=("CELERY_TRACK_STARTED",), text="Record the state STARTED; one more write for each task."
    )
    task_ignore_result: bool = setting(False, formerly=("CELERY_IGNORE_RESULT",), text="Keep no results.")
    task_store_errors_even_if_ignored: bool = setting(
        False,
        formerly=("CELERY_STORE_ERRORS_EVEN_IF_IGNORED",),
        text="Keep the failures of tasks whose results are ignored.",
    )
    task_time_limit: float | None = setting(
        None,
        unit="s",
        formerly=("CELERYD_TASK_TIME_LIMIT",),
        text="A task that runs longer is ended by force, with its process if need be, and has failed.",
    )
    task_soft_time_limit: float | None = setting(
        None,
        unit="s",
        formerly=("CELERYD_TASK_SOFT_TIME_LIMIT",),
        text="After this time SoftTimeLimitExceeded is raised inside the task, so that it can clean up.",
    )
    task_default_retry_delay: float = setting(
        180.0, unit="s", text="Wait before a task is retried, unless the task or the retry says otherwise."
    )
    task_max_retries: int | None = setting(
        3, minimum=0, text="How often a task is retried unless it says otherwise. None: without end."
    )
    task_dead_letter: bool = setting(
        True, text="Whether a task that has failed for good is put into the dead letters of its queue."
    )
    task_crash_limit: int = setting(
        3, minimum=1, text="How often a task may end its process before it goes into the dead letters."
    )

    task_send_sent_event: bool = setting(
        False,
        formerly=("CELERY_SEND_TASK_SENT_EVENT", "CELERY_TASK_SEND_SENT_EVENT"),
        text="Whether who sends a call tells the event task-sent, too; one more message to the backend for each sending.",
    )

    # -- schedules -----------------------------------------------------------------------------------------

    beat_schedule: Mapping[str, Any] = setting(
        {},
        formerly=("CELERYBEAT_SCHEDULE",),
        text="Schedules by name: for each a mapping with 'task' and 'schedule' (seconds, a timedelta, a cron expression, a "
        "moment, or what crontab(), schedule() and solar() of faena.schedules return), and perhaps 'args', 'kwargs', "
        "'options' (of the call), 'tz', 'relative', 'catch_up', 'catch_up_window', 'overlap', 'jitter', 'start', 'end'.",
    )
    worker_beat: bool = setting(
        True,
        text="Whether this worker takes part in the scheduler: one process of all that do sends what is due, and repairs "
        "what crashes have left half done. Where no worker does, `faena beat` has to run.",
    )

    # -- what is kept, and how long ------------------------------------------------------------------------

    result_expires: float | None = setting(
        86400.0,
        unit="s",
        formerly=("CELERY_TASK_RESULT_EXPIRES",),
        text="How long results are kept. None or 0: until they are forgotten.",
    )
    task_steps_expire: float = setting(
        30 * 86400.0,
        unit="s",
        text="How long the steps that an unfinished task remembers are kept after the last of them (or after the end of a "
        "durable sleep), and events after they have happened.",
    )
    dead_letter_expires: float | None = setting(
        30 * 86400.0,
        unit="s",
        text="How long dead letters are kept. None or 0: until they are purged. On RabbitMQ the server "
        "removes them, after the time that the option dead_letters_kept_s of the URL says.",
    )

    # -- workers -------------------------------------------------------------------------------------------

    worker_concurrency: int | None = setting(
        None,
        minimum=1,
        maximum=MOST_PROCESSES,
        formerly=("CELERYD_CONCURRENCY",),
        text="Processes of a worker. None: one for each CPU.",
    )
    worker_pool: Literal["processes", "threads", "solo"] = setting(
        "processes",
        aliases={"prefork": "processes"},
        formerly=("CELERYD_POOL",),
        text="Where plain functions run: in `worker_concurrency` processes, in that many threads of one process, or "
        "one after another in one process. 'prefork' means 'processes'.",
    )
    worker_autoscale_max: int | None = setting(
        None,
        minimum=1,
        maximum=MOST_PROCESSES,
        text="The most processes that a worker scales to by itself when tasks wait too long. None: it has "
        "`worker_concurrency` processes, whatever waits.",
    )
    worker_autoscale_min: int = setting(
        1, minimum=1, text="The fewest processes of a worker that scales by itself; it starts with these."
    )
    worker_autoscale_target_age: float = setting(
        1.0, unit="s", text="A worker that scales by itself gets more processes when a task waits for longer."
    )
    worker_autoscale_cooldown: float = setting(
        30.0,
        unit="s",
        text="A worker that scales by itself gives up only processes that were not needed for so long.",
    )
    worker_threads: int = setting(
        1, minimum=1, text="How many plain functions run at once in one process, each in a thread."
    )
    worker_coroutines: int = setting(100, minimum=1, text="How many `async def` tasks run at once in one process.")
    worker_prefetch_multiplier: int | None = setting(
        None,
        minimum=1,
        formerly=("CELERYD_PREFETCH_MULTIPLIER",),
        text="How many messages a process takes in advance for each task it can run at once. None: as many as it will "
        "have run within about 20 ms.",
    )
    worker_queue_order: Literal["fair", "strict", "weighted"] = setting(
        "fair",
        text="In which order a worker looks at its queues: each first in its turn; strictly in the order in which they are "
        "named, so that a queue is served while those before it are empty; or so that each gets a share by its weight "
        "(`Queue(weight=3)`, or `-Q high:3,low:1`).",
    )
    worker_lease: float = setting(
        30.0,
        unit="s",
        minimum=1,
        text="How long a machine may be gone before its tasks are given to others. A long task needs no longer lease: "
        "it is renewed while the worker lives.",
    )
    worker_shutdown_timeout: float = setting(
        25.0,
        unit="s",
        text="How long a worker that was asked to stop lets its tasks finish; what is left is handed back. Containers "
        "kill after 30 s by default.",
    )
    worker_max_tasks_per_child: int | None = setting(
        None,
        minimum=1,
        formerly=("CELERYD_MAX_TASKS_PER_CHILD",),
        text="A process is replaced after this many tasks.",
    )
    worker_max_memory_per_child: int | None = setting(
        None,
        unit="KiB",
        minimum=1,
        formerly=("CELERYD_MAX_MEMORY_PER_CHILD",),
        text="A process that uses more memory is replaced.",
    )
    worker_loglevel: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = setting(
        "INFO", aliases=_LEVELS, formerly=("CELERYD_LOG_LEVEL",), text="The least important messages that are logged."
    )
    worker_log_format: Literal["text", "json"] = setting(
        "text", text="Form of the log: lines for people, or one JSON object a line."
    )
    worker_log_tasks: Literal["adaptive", "all", "none"] = setting(
        "adaptive",
        text="Which tasks get a line of their own in the log: all, none, or (adaptive) all that fail, and of the "
        "others as many as the log can take without slowing the worker down.",
    )
    worker_health_file: str | None = setting(
        None, text="A file that is touched as long as the worker makes progress, for probes that can only look at files."
    )
    worker_health_address: str | None = setting(
        None, check=_refuse_bad_address, text="HOST:PORT that answers probes over HTTP. None: no port is opened."
    )
    worker_metrics_port: int | None = setting(
        None,
        minimum=0,
        maximum=65535,
        text="Port that answers /metrics for Prometheus; 0 is any that is free, and the log says which. "
        "None: no port is opened.",
    )
    worker_metrics_host: str = setting(
        "127.0.0.1", text="Address of this machine that `worker_metrics_port` is opened at; 0.0.0.0 is all of them."
    )
    worker_send_task_events: bool = setting(
        False,
        formerly=("CELERY_SEND_EVENTS", "CELERY_SEND_TASK_EVENTS"),
        text="Whether a worker tells events to those who listen: of tasks that it takes, begins and ends, and of itself. "
        "Can be changed while it runs.",
    )
    worker_watchdog_timeout: float = setting(
        60.0, unit="s", minimum=1, text="A process that makes no progress for so long is replaced."
    )
    worker_revokes_expire: float = setting(
        10800.0, unit="s", text="How long a revoked task is remembered, so that a worker started later obeys, too."
    )

    @property
    def embedded_url(self) -> str:
        """The URL of the file that is used where no broker is configured."""
        return f"sqlite:///{self.project.folder}/.faena/faena.db"
