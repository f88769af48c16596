"""Find the app that a command is about: by a name such as `-A proj.celery:app`, or the one that is there.

User code is imported here and nowhere else on behalf of the command line. What it raises is carried as the cause of an
AppNotFound, with the frames of this module and of the import system taken off: people see their own traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import takewhile
from types import ModuleType, TracebackType

from faena.app.app import Faena
from faena.config.settings import Settings
from faena.errors import AppNotFound, did_you_mean

ATTRIBUTES = ("app", "celery", "faena")
SUBMODULES = ("app", "celery_app", "celery", "faena_app", "tasks")
FILES = ("app", "celery_app", "faena_app", "tasks", "main")

_last_loaded = ""  # the module that was loaded last before an app was looked for

_NEXT = 'name it with -A module:attribute, or put app = "module:attribute" under [tool.faena] in pyproject.toml'


def find_app(name: str | None, cwd: str | None = None) -> Faena:
    """Find the app called `name`: "module", "module:attribute", "package".

    None: the app that the setting `app` of the project or the environment names; else the one app of the folder `cwd`.
    Puts that folder first on `sys.path`. The modules with its tasks are imported by `load_tasks`.
    Raises AppNotFound: none was found, several were, or importing failed (then the cause is what was raised).
    """
    folder = os.path.abspath(cwd or os.getcwd())
    _note_what_is_loaded()
    if not name:
        name, folder = _named_in_settings(folder)
    _put_on_path(folder)
    return _find_named(name, folder) if name else _find_alone(folder)


def explained(error: AppNotFound) -> str:
    """Return the error's text, after the traceback of the user's own exception where that is the cause."""
    if error.__cause__ is None:
        return str(error)
    from traceback import format_exception

    return "".join(format_exception(error.__cause__)) + str(error)


def load_tasks(app: Faena) -> None:
    """Import the modules that `imports` and `include` name, and `tasks` beside the app where that is in a package.

    Raises AppNotFound: importing one failed; the cause is what was raised.
    """
    for name in (*app.conf.imports, *app.conf.include):
        _import(name, f"{name}' in the setting 'imports' or 'include")
    for package in _packages_of(app):
        name = f"{package}.tasks"
        if _is_there(name):
            _import(name, name)


def _packages_of(app: Faena) -> list[str]:
    """Name the packages whose modules hold the app under a name of their own."""
    found = []
    for module in _modules_around(app):
        package: str | None = getattr(module, "__package__", None)
        if package and _holds(module, app):
            found.append(package)
    return list(dict.fromkeys(found))


def _modules_around(app: Faena) -> list[ModuleType]:
    """Return the modules that were loaded since an app was looked for if some of them hold this one, else all.

    Looking at a module counts references to it: in a worker process, memory that was shared until then is copied.
    """
    names = list(takewhile(_last_loaded.__ne__, reversed(sys.modules)))  # in one go: threads may be importing
    recent = [sys.modules[name] for name in reversed(names) if name in sys.modules]
    return recent if any(_holds(module, app) for module in recent) else list(sys.modules.values())


def _note_what_is_loaded() -> None:
    global _last_loaded
    _last_loaded = _last_loaded or next(reversed(sys.modules))


def _holds(module: ModuleType, app: Faena) -> bool:
    return any(getattr(module, "__dict__", {}).get(each) is app for each in ATTRIBUTES)


def _named_in_settings(folder: str) -> tuple[str | None, str]:
    """Return what the setting `app` says, and the folder it is seen from: that of the project, if its file says it."""
    settings = Settings(cwd=folder)
    if settings.app is None or settings.source_of("app").startswith("environment"):
        return settings.app, folder
    return settings.app, settings.project.folder


# -- by name -----------------------------------------------------------------------------------------------


def _find_named(name: str, folder: str) -> Faena:
    module_name, _, attribute = _as_module_name(name, folder).partition(":")
    if not module_name:
        raise AppNotFound(f"'{name}' names no module; write it as module:attribute")
    if attribute:
        return _attribute_of(_import(module_name, name), attribute, name)
    try:
        module = _import(module_name, name)
    except AppNotFound as error:
        parent, _, last = module_name.rpartition(".")
        if not parent or error.missing_module != module_name:
            raise
        return _attribute_of(_import(parent, name), last, name)  # proj.celery.app, as Celery writes it, too
    return _app_of_module(module, name)


def _as_module_name(name: str, folder: str) -> str:
    """Read `src/proj/app.py` as `proj.app`, for those whom the shell completed the name."""
    path, colon, attribute = name.partition(":")
    if not path.endswith(".py") and os.sep not in path:
        return name
    relative = os.path.relpath(os.path.join(folder, path), folder).removesuffix(".py").rstrip(os.sep)
    if relative.startswith(".."):
        raise AppNotFound(f"'{path}' lies outside of {folder}; change into its folder (--workdir) and name the module")
    if relative.startswith("src" + os.sep) and not os.path.exists(os.path.join(folder, "src", "__init__.py")):
        _put_on_path(os.path.join(folder, "src"))
        relative = relative[len("src" + os.sep) :]
    return relative.replace(os.sep, ".").removesuffix(".__init__") + colon + attribute


def _attribute_of(module: ModuleType, path: str, name: str) -> Faena:
    value: object = module
    for part in path.split("."):
        if not hasattr(value, part):
            found = _apps_in(module)
            known = found or [each for each in vars(module) if not each.startswith("_")]
            there = f"; its apps are {_listed(f'{module.__name__}:{each}' for each in found)}" if found else ""
            raise AppNotFound(f"module '{module.__name__}' has no attribute '{path}'{there or did_you_mean(path, known)}")
        value = getattr(value, part)
    if isinstance(value, ModuleType):
        return _app_of_module(value, name)
    if not isinstance(value, Faena):
        raise AppNotFound(f"'{name}' is no app but {_described(value)}; an app is made with Faena(\"name\")")
    return value


def _app_of_module(module: ModuleType, name: str) -> Faena:
    found = _best_app_in(module)
    if found is not None:
        return found
    tried = [module.__name__]
    if hasattr(module, "__path__"):
        for last in SUBMODULES:
            inner_name = f"{module.__name__}.{last}"
            if not _is_there(inner_name):
                continue
            inner = _import(inner_name, name)
            tried.append(inner_name)
            found = _best_app_in(inner)
            if found is not None:
                return found
    raise AppNotFound(
        f"no app in {_listed(tried)} ({_file_of(module)}): no attribute is a Faena; "
        'make one with app = Faena("name"), or name another module with -A'
    )


def _best_app_in(module: ModuleType) -> Faena | None:
    """Return the app of a module: under a usual name, or the only one.

    Raises AppNotFound: there are several, none under a usual name.
    """
    for attribute in ATTRIBUTES:
        value = vars(module).get(attribute)
        if isinstance(value, Faena):
            return value
    found = _apps_in(module)
    different = {id(value): value for value in found.values()}
    if len(different) > 1:
        names = _listed(f"{module.__name__}:{attribute}" for attribute in found)
        raise AppNotFound(f"module '{module.__name__}' has several apps: {names}; name one of them with -A")
    return next(iter(different.values()), None)


def _apps_in(module: ModuleType) -> dict[str, Faena]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Faena)}


# -- without a name ----------------------------------------------------------------------------------------


def _find_alone(folder: str) -> Faena:
    """Return the one app that the files of `folder` (and of its `src`) make."""
    candidates = list(dict.fromkeys(_candidates(folder)))
    found: dict[int, tuple[str, Faena]] = {}
    for module_name in candidates:
        for attribute, app in _apps_in(_import(module_name, module_name)).items():
            found.setdefault(id(app), (f"{module_name}:{attribute}", app))
    if len(found) == 1:
        return next(app for _, app in found.values())
    if found:
        names = _listed(name for name, _ in found.values())
        raise AppNotFound(f"several apps in {folder}: {names}; {_NEXT}")
    if candidates:
        raise AppNotFound(f"no app in {folder}: {_listed(candidates)} speak of Faena, but make no app; {_NEXT}")
    files = _listed(f"{each}.py" for each in FILES)
    raise AppNotFound(f"no app in {folder}: neither {files} nor a package there makes one; {_NEXT}")


def _candidates(folder: str) -> Iterator[str]:
    """Name the modules that make an app, going by their text: others are not worth the risk of importing them."""
    for root in (folder, os.path.join(folder, "src")):
        if root != folder and (not os.path.isdir(root) or os.path.exists(os.path.join(root, "__init__.py"))):
            continue
        names = [name for name in FILES if _speaks_of_us(os.path.join(root, f"{name}.py"))]
        for entry in sorted(os.listdir(root)):
            package = os.path.join(root, entry)
            if not entry.isidentifier() or not os.path.isfile(os.path.join(package, "__init__.py")):
                continue
            if _speaks_of_us(os.path.join(package, "__init__.py")):
                names.append(entry)
            names += [f"{entry}.{last}" for last in SUBMODULES if _speaks_of_us(os.path.join(package, f"{last}.py"))]
        if names and root != folder:
            _put_on_path(root)
        yield from names


def _speaks_of_us(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"Faena" in file.read()
    except OSError:
        return False


# -- importing ---------------------------------------------------------------------------------------------


def _is_there(module_name: str) -> bool:
    """Say whether a module of a package that is loaded can be found: that costs less than an error nobody reads."""
    try:
        return find_spec(module_name) is not None
    except (ImportError, ValueError):
        return True  # importing it says what is wrong


def _import(module_name: str, asked: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise _import_failed(module_name, error) from _without_our_frames(error)
        raise AppNotFound(
            f"no module named '{missing}' for '{asked}'{_did_you_mean_module(missing)}; looked in "
            f"{sys.path[0]} and the installed packages (another folder: --workdir)",
            missing_module=missing,
        ) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code, which may raise anything
        raise _import_failed(module_name, error) from _without_our_frames(error)


def _import_failed(module_name: str, error: BaseException) -> AppNotFound:
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return AppNotFound(f"importing '{module_name}' failed: {reason}")


def _without_our_frames(error: BaseException) -> BaseException:
    """Drop the frames of this module and of the import system that stand before the user's first one."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return error.with_traceback(frame)


def _is_ours(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _did_you_mean_module(missing: str) -> str:
    folder = sys.path[0]
    try:
        entries = os.listdir(folder)
    except OSError:
        return ""
    known = [entry.removesuffix(".py") for entry in entries if entry.removesuffix(".py").isidentifier()]
    return did_you_mean(missing, known)


# -- words -------------------------------------------------------------------------------------------------


def _put_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()


def _listed(names: Iterator[str] | Sequence[str] | dict[str, Faena]) -> str:
    return ", ".join(names)


def _described(value: object) -> str:
    kind = type(value)
    return (
        f"of type {kind.__qualname__}"
        if kind.__module__ == "builtins"
        else f"of type {kind.__module__}.{kind.__qualname__}"
    )


def _file_of(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ())) or "no file"
