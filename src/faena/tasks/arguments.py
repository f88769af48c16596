"""Check the arguments of a call against the task's signature, and give the task what its annotations promise.

At the call, a wrong argument is an error where the caller can still see it. In the worker, values that travelled as plain
data become what the parameter is annotated with: dataclasses, msgspec Structs, attrs, pydantic models, datetimes, enums,
paths. Parameters without an annotation, and annotations that say nothing about data, are taken as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from faena.errors import InvalidArguments

_CO_VARARGS, _CO_VARKEYWORDS = 0x04, 0x08
_EXACT = frozenset({int, str, bool, float, bytes})


class ArgumentSpec:
    """What one function takes. `skip_first` leaves out `self` of a bound task."""

    def __init__(self, task: str, function: Callable[..., Any], *, skip_first: bool) -> None:
        self._task, self._function, self._skip = task, function, int(skip_first)
        code = getattr(function, "__code__", None)
        if code is None:  # a callable object, a partial: only `inspect` knows
            self._names: tuple[str, ...] = ()
            self._least = self._most = -1
        else:
            defaults = getattr(function, "__defaults__", None) or ()
            self._names = code.co_varnames[self._skip : code.co_argcount]
            self._least = code.co_argcount - self._skip - len(defaults)
            self._most = len(self._names)
            required_keywords = code.co_kwonlyargcount - len(getattr(function, "__kwdefaults__", None) or ())
            if required_keywords or code.co_flags & _CO_VARARGS:
                self._least = self._most = -1  # the short way below does not apply
        self._types: dict[str, Any] | None = None
        self._exact: tuple[Any, ...] = ()  # by position: a plain type, None where anything goes, False: look closer

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise InvalidArguments where the function would not take these."""
        if kwargs or not self._least <= len(args) <= self._most:
            self._bind(args, kwargs)
        types = self._types if self._types is not None else self._resolve_types()
        if not types or (not kwargs and self._fit(args)):
            return
        for name, value in self._named(args, kwargs):
            expected = types.get(name)
            if expected is not None and type(value) is not expected:
                self._convert(name, value, expected)

    def coerce(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the arguments as their annotations promise them. Raises InvalidArguments."""
        if kwargs or not self._least <= len(args) <= self._most:
            self._bind(args, kwargs)
        types = self._types if self._types is not None else self._resolve_types()
        if not types or (not kwargs and self._fit(args)):
            return args, kwargs
        names, rest = self._positional_names(), types.get("*")
        new_args: list[Any] = []
        for index, value in enumerate(args):
            name = names[index] if index < len(names) else "*"
            expected = types.get(name) if index < len(names) else rest
            fits = expected is None or (type(value) is expected and expected in _EXACT)
            new_args.append(value if fits else self._convert(name, value, expected))
        if kwargs:
            kwargs = {
                name: value if (expected := types.get(name)) is None else self._convert(name, value, expected)
                for name, value in kwargs.items()
            }
        return new_args, kwargs

    def counts_taken_as_they_are(self) -> range:
        """Return how many arguments by position, and none by name, `coerce` would give back as they came."""
        types = self._types if self._types is not None else self._resolve_types()
        return range(0) if types or self._least < 0 else range(self._least, self._most + 1)

    def takes(self, count: int, kwargs: Mapping[str, Any]) -> bool:
        """Whether the function can be called with `count` arguments by position and these by name."""
        if not kwargs and self._least <= count <= self._most:
            return True
        try:
            self._bind((None,) * count, kwargs)
        except InvalidArguments:
            return False
        return True

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, with the defaults of those that were not given. Raises InvalidArguments."""
        bound = self._bind(args, kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def names(self) -> frozenset[str] | None:
        """Return the names of all parameters; None: it takes others by name as well, or does not tell."""
        code = getattr(self._function, "__code__", None)
        if code is None or code.co_flags & _CO_VARKEYWORDS:
            return None
        return frozenset(code.co_varnames[self._skip : code.co_argcount + code.co_kwonlyargcount])

    def value_of(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the argument of that name, or its default. Raises LookupError: it is not given."""
        if name in kwargs:
            return kwargs[name]
        names = self._positional_names()
        at = names.index(name) if name in names else len(args)
        if at < len(args):
            return args[at]
        defaults = getattr(self._function, "__defaults__", None) or ()
        from_end = at - len(names)
        if name in names and -from_end <= len(defaults):
            return defaults[from_end]
        return (getattr(self._function, "__kwdefaults__", None) or {})[name]

    # -- internals -----------------------------------------------------------------------------------------

    def _fit(self, args: Sequence[Any]) -> bool:
        """Whether every argument is of exactly the plain type that its parameter asks for."""
        exact = self._exact
        if len(args) > len(exact):
            return False
        for value, expected in zip(args, exact, strict=False):
            if expected is not None and type(value) is not expected:
                return False
        return True

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        names = self._positional_names()
        pairs = list(zip(names, args, strict=False))
        pairs.extend(("*", value) for value in args[len(names) :])
        pairs.extend(kwargs.items())
        return pairs

    def _positional_names(self) -> tuple[str, ...]:
        if not self._names and getattr(self._function, "__code__", None) is None:
            import inspect

            kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            parameters = list(inspect.signature(self._function).parameters.values())[self._skip :]
            self._names = tuple(parameter.name for parameter in parameters if parameter.kind in kinds)
        return self._names

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        signature = self._signature
        try:
            return signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(self._task, f"{error}; it takes {_plain_signature(signature)}") from None

    @cached_property
    def _signature(self) -> Any:
        import inspect  # 17 ms that only calls with keywords, or wrong ones, pay once

        signature = inspect.signature(self._function)
        return signature.replace(parameters=list(signature.parameters.values())[1:]) if self._skip else signature

    def _resolve_types(self) -> dict[str, Any]:
        annotations = dict(getattr(self._function, "__annotations__", None) or {})
        annotations.pop("return", None)
        if self._skip and (code := getattr(self._function, "__code__", None)) is not None:
            annotations.pop(code.co_varnames[0], None)
        types = {name: found for name, hint in annotations.items() if (found := self._usable(hint)) is not None}
        code = getattr(self._function, "__code__", None)
        if code is not None and code.co_flags & _CO_VARARGS:
            rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
            if rest in types:
                types["*"] = types.pop(rest)
        if code is not None and code.co_flags & _CO_VARKEYWORDS:
            count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _CO_VARARGS)
            types.pop(code.co_varnames[count], None)
        self._types = types
        found = (types.get(name) for name in self._names)
        self._exact = tuple(kind if kind is None or kind in _EXACT else False for kind in found)
        return types

    def _usable(self, hint: Any) -> Any:
        """Return the type to convert to, or None where the annotation says nothing that can be checked."""
        if isinstance(hint, str):
            try:
                hint = eval(hint, getattr(self._function, "__globals__", {}))  # noqa: S307 - the task's own source
            except Exception:  # noqa: BLE001 - such as a name imported for type checkers only
                return None
        if hint is Any or hint is object or hint is None:
            return None
        try:
            msgspec.json.Decoder(hint, dec_hook=_from_plain)  # refuses what msgspec cannot handle at all
        except (TypeError, RuntimeError, NameError):
            return None
        return hint

    def _convert(self, name: str, value: Any, expected: Any) -> Any:
        if type(expected) is type and isinstance(value, expected) and expected is not int:
            return value
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            value = value.item()
        try:
            return msgspec.convert(value, expected, dec_hook=_from_plain)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            shown = "*args" if name == "*" else name
            raise InvalidArguments(self._task, f"argument '{shown}': {error} (given {_short(value)})") from None


def _from_plain(expected: Any, value: Any) -> Any:
    """Serve as msgspec's `dec_hook`: make what msgspec does not know, or raise."""
    if isinstance(expected, type):
        if isinstance(value, expected):
            return value
        validate = getattr(expected, "model_validate", None)  # pydantic 2
        if validate is not None:
            return validate(value)
        if hasattr(expected, "__fspath__") and isinstance(value, str):
            return expected(value)
        raise TypeError(f"Expected `{expected.__qualname__}`, got `{type(value).__qualname__}`")
    return value


def _plain_signature(signature: Any) -> str:
    text = str(signature.replace(return_annotation=signature.empty))
    return text if len(text) <= 200 else text[:197] + "..."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
