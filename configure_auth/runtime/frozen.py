"""`dataclass` of the standard library for frozen values, at a quarter of the time that it takes at import.

The standard library compiles six methods of each class, and this package has more than a hundred of such classes. Here
only `__init__` is compiled, and the other methods are the same functions for all. `fields`, `replace` and `asdict`,
pattern matching, copying and pickling work as usual; `order`, `slots`, `InitVar` and a frozen subclass made by the
standard library's decorator do not.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, field, fields
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
                cls.__init__ = _compiled_init(cls, found.values())
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


def _compiled_init(cls: Any, all_fields: Any) -> Any:
    scope: dict[str, Any] = {"_factory": _FACTORY}
    positional, keywords, lines = ["self"], ["*"], []
    for one in all_fields:
        name, default = one.name, ""
        value = name
        if one.default_factory is not MISSING:
            scope[f"_new_{name}"], default = one.default_factory, "=_factory"
            value = f"_new_{name}() if {name} is _factory else {name}" if one.init else f"_new_{name}()"
        elif one.default is not MISSING:
            scope[f"_default_{name}"], default = one.default, f"=_default_{name}"
            value = name if one.init else f"_default_{name}"
        if one.init:
            (keywords if one.kw_only else positional).append(name + default)
        if one.init or default:
            lines.append(f" _d[{name!r}] = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ", ".join(positional + (keywords if keywords[1:] else []))
    exec("\n".join([f"def __init__({parameters}):\n _d = self.__dict__", *lines]), scope)  # noqa: S102  # names of fields
    init = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{one.name: one.type for one in all_fields if one.init}, "return": None}
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
