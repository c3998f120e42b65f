"""`dataclass` of the standard library for frozen values, at a fifth of the time that it takes at import.

The standard library compiles six methods of each class, and this package has more than a hundred of such classes. Here
only `__init__` is compiled, and the other methods are the same functions for all. `fields`, `replace` and `asdict`,
pattern matching, copying and pickling work as usual; `order`, `InitVar` and a frozen subclass made by the standard
library's decorator do not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """Return a decorator that makes a frozen dataclass."""
        assert frozen

        def make(cls: type) -> type:
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            has_hash = made.__dict__.get("__hash__") is not None
            for method in _METHODS:
                if method.__name__ not in cls.__dict__:
                    setattr(made, method.__name__, method)
            if not has_hash:
                made.__hash__ = _hash
            if "__init__" not in cls.__dict__:
                made.__init__ = _compiled_init(made)
            if slots:
                made.__getstate__, made.__setstate__ = _getstate, _setstate
            return made

        return make


class _Factory:
    """Default of a parameter whose field has a `default_factory`."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _compiled_init(cls: Any) -> Any:
    scope: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
    positional, keywords, lines = ["self"], ["*"], []
    for one in fields(cls):
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
            lines.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ", ".join(positional + (keywords if keywords[1:] else []))
    exec("\n".join([f"def __init__({parameters}):", *(lines or [" pass"])]), scope)  # noqa: S102  # names of fields
    init = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{one.name: one.type for one in fields(cls) if one.init}, "return": None}
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


def __setattr__(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> tuple[Any, ...]:
    return _values(self, lambda _one: True)


def _setstate(self: Any, state: tuple[Any, ...]) -> None:
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


_METHODS = (__eq__, __repr__, __setattr__, __delattr__)
