"""Invoke's loaders: find a task file and give its module."""

from __future__ import annotations

import os

from faena.errors import CollectionNotFound
from faena.runner.taskfile import TaskFile, find_task_file, load_task_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class Loader:
    """Finds task files somewhere; a subclass says where."""

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def find(self, name: str) -> TaskFile | None:
        """Where the task file of that name is, or None."""
        raise NotImplementedError

    def load(self, name: str | None = None) -> tuple[ModuleType, str]:
        """The module of a task file, and the folder it lies in.

        Raises CollectionNotFound.
        """
        if name is None:
            name = "tasks" if self.config is None else str(self.config.tasks.collection_name)
        found = self.find(name)
        if found is None:
            raise CollectionNotFound(name, getattr(self, "start", os.getcwd()))
        return load_task_file(found), found.folder


class FilesystemLoader(Loader):
    """Finds task files from a folder upwards."""

    def __init__(self, start: str | None = None, config: Any = None) -> None:
        super().__init__(config)
        if start is None and config is not None:
            start = config.tasks.search_root
        self._start = start

    @property
    def start(self) -> str:
        return self._start or os.getcwd()

    def find(self, name: str) -> TaskFile | None:
        return find_task_file(name, self.start)
