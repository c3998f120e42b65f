"""Methods that are made from functions, and say so to `help()`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

__all__ = ["Described"]

_WRAPPED = re.compile(r"^(?:Call\[|Flow\[|Generator\[Call\[Any\], Any, )(.*)\]$")


class Described:
    """Shows `help()` the function behind a descriptor, without its first parameter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__.lstrip("_")
        signature = inspect.signature(function)
        returns = _WRAPPED.sub(r"\1", str(signature.return_annotation))
        self.__signature__ = signature.replace(
            parameters=list(signature.parameters.values())[1:], return_annotation=returns
        )

    def _describe(self, bound: Any) -> Any:
        bound.__doc__, bound.__name__, bound.__qualname__ = self.__doc__, self.__name__, self.__name__
        bound.__signature__ = self.__signature__
        return bound
