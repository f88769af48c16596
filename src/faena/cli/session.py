"""What every command works with: the app it is about, the broker and backend of that app, and the output."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from faena.cli.output import Output
from faena.config.secrets import mask_text
from faena.errors import ConfigurationError, NotSupported

if TYPE_CHECKING:
    from faena.app.app import Faena
    from faena.app.links import Link


class Session:
    """One run of a command."""

    def __init__(
        self, *, app: str = "", broker: str = "", result_backend: str = "", workdir: str = "", quiet: bool = False
    ) -> None:
        if workdir:
            try:
                os.chdir(workdir)
            except OSError as error:
                raise ConfigurationError(f"cannot change into --workdir {workdir}: {error.strerror}") from None
        try:
            os.getcwd()
        except FileNotFoundError:
            raise ConfigurationError("the current folder has been deleted; change into another one") from None
        self.named_app = app
        given = {"broker_url": broker, "result_backend": result_backend}
        self.overrides: dict[str, Any] = {name: value for name, value in given.items() if value}
        if broker:
            self.overrides["brokers"] = {}  # the one that is named takes the place of all
        self.out = Output(is_quiet=quiet)

    @cached_property
    def app(self) -> Faena:
        """The app that the command is about, with its tasks.

        Raises AppNotFound.
        """
        from faena.app.discovery import find_app, load_tasks

        app = find_app(self.named_app or None)
        load_tasks(app)
        app.conf.override(self.overrides)
        return app

    @cached_property
    def any_app(self) -> Faena:
        """The app; or one without tasks where only a broker is named: enough to look at queues and results.

        Raises AppNotFound.
        """
        if self.named_app or "broker_url" not in self.overrides:
            return self.app
        from faena.app.app import Faena

        app = Faena("faena")
        app.conf.override(self.overrides)
        return app

    @cached_property
    def connected_app(self) -> Faena:
        """The app, or one without tasks, whose broker can be reached.

        Raises BrokerUnavailable, StorageError; NotSupported: the broker lives inside one process, and this is another.
        """
        app = self.any_app
        if not app.connection().broker.capabilities.durable:
            url, _ = app.links.urls()
            raise NotSupported(
                "the command line",
                mask_text(url),
                "it lives inside one process",
                "use the embedded default (no broker_url)",
            )
        return app

    @property
    def link(self) -> Link:
        """The open broker and backend of the app."""
        return self.connected_app.connection()

    def close(self) -> None:
        for name in ("app", "any_app"):
            app = self.__dict__.get(name)
            if app is not None:
                app.close()
