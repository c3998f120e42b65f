"""`dataclass` of the standard library for frozen values, at a tenth of the time that it takes at import.

The standard library compiles six methods of each class, and this package has more than a hundred of such classes. Here
the methods are the same functions for all, and `__init__` is compiled once for each number of parameters. `fields`,
`replace` and `asdict`, pattern matching, copying and pickling work as usual; `order`, `slots`, `InitVar` and a frozen
subclass made by the standard library's decorator do not.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, FrozenInstanceError, field, fields
from functools import cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, kw_only: bool = False) -> Callable[[type], type]:
        """Return a decorator that makes a frozen dataclass."""
        assert frozen

        def make(cls: type) -> type:
            found = {}
            for base in cls.__mro__[:0:-1]:
                found |= base.__dict__.get("__dataclass_fields__", {})
            found |= {one.name: one for one in _own_fields(cls, kw_only)}
            cls.__dataclass_fields__, cls.__dataclass_params__ = found, _Sample.__dataclass_params__
            cls.__match_args__ = tuple(one.name for one in found.values() if one.init and not one.kw_only)
            if cls.__dict__.get("__hash__") is None:
                cls.__hash__ = _hash
            for method in _METHODS:
                if method.__name__ not in cls.__dict__:
                    setattr(cls, method.__name__, method)
            if "__init__" not in cls.__dict__:
                cls.__init__ = _init(cls, found.values())
            return cls

        return make


@dataclasses.dataclass(init=False, repr=False, eq=False, frozen=True)
class _Sample:
    """Made by the standard library, for what it writes into a class and its fields."""

    name: str


_FIELD: Any = fields(_Sample)[0]


def _own_fields(cls: type, kw_only: bool) -> list[Field[Any]]:
    found = []
    for name, annotation in inspect.get_annotations(cls).items():
        if annotation.startswith("ClassVar"):
            continue
        default: Any = getattr(cls, name, MISSING)
        made: Any = default if isinstance(default, Field) else field(default=default)
        made.name, made.type, made._field_type = name, annotation, _FIELD._field_type
        if made.kw_only is MISSING:
            made.kw_only = kw_only
        if default is made and made.default is MISSING:
            delattr(cls, name)
        elif default is made:
            setattr(cls, name, made.default)
        found.append(made)
    return found


class _Factory:
    """Default of a parameter whose field has a `default_factory`."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


@cache
def _template(count: int, finishes: bool) -> CodeType:
    numbers = range(count)
    parameters, names = ("".join(f", {letter}{number}" for number in numbers) for letter in "pn")
    lines = [f"def __init__(self{parameters}):", " d = self.__dict__", f" [{names[2:]}] = _names"]
    lines += (f" d[n{number}] = p{number}" for number in numbers)
    lines += [" _finish(self)"] * finishes
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)  # noqa: S102  # numbers
    code: CodeType = scope["__init__"].__code__
    return code


def _init(cls: Any, all_fields: Collection[Field[Any]]) -> Any:
    """Return `__init__`: the code compiled for so many parameters, with other names for them."""
    keywords = [one for one in all_fields if one.init and one.kw_only]
    positional = [one for one in all_fields if one.init and not one.kw_only]
    names = tuple(one.name for one in positional + keywords)
    makers = {one.name: one.default_factory for one in all_fields if one.default_factory is not MISSING}
    defaults = dict.fromkeys(makers, _FACTORY) | {
        one.name: one.default for one in all_fields if one.default is not MISSING
    }
    has_post_init = hasattr(cls, "__post_init__")

    def finish(self: Any) -> None:
        values = self.__dict__
        for name, make in makers.items():
            if values.get(name, _FACTORY) is _FACTORY:
                values[name] = make()
        if has_post_init:
            self.__post_init__()

    code = _template(len(names), bool(makers or has_post_init))
    code = code.replace(
        co_varnames=("self", *names, *code.co_varnames[1 + len(names) :]),
        co_argcount=1 + len(positional),
        co_kwonlyargcount=len(keywords),
    )
    init = FunctionType(code, {"_names": names, "_finish": finish})
    init.__defaults__ = tuple(defaults[one.name] for one in positional if one.name in defaults)
    init.__kwdefaults__ = {one.name: defaults[one.name] for one in keywords if one.name in defaults}
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{one.name: one.type for one in positional + keywords}, "return": None}
    return init


def _values(of: Any, chosen: Callable[[Field[Any]], bool | None]) -> tuple[Any, ...]:
    return tuple(getattr(of, one.name) for one in fields(of) if chosen(one))


def __eq__(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self, lambda one: one.compare) == _values(other, lambda one: one.compare)


def _hash(self: Any) -> int:
    return hash(_values(self, lambda one: one.compare if one.hash is None else one.hash))


def __repr__(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def __replace__(self: Any, /, **changes: Any) -> Any:
    return dataclasses.replace(self, **changes)


def __setattr__(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = (__eq__, __repr__, __replace__, __setattr__, __delattr__)
