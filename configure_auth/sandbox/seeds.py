"""Seeds: people, agents, addresses and faults from a file, validated as a whole before anything is taken over."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from .errors import HANDLE, SeedError, message_of, place_of
from .faults import Fault
from .http_messages import no_duplicates
from .uris import read_return_destination, redirect_uri_error
from .values import NonBlank, Person, Scope

MemoryText = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=1000)]
Handle = Annotated[str, msgspec.Meta(pattern=HANDLE)]


class SeededPerson(Person, frozen=True, kw_only=True):
    """A person, and what is remembered about them from the start."""

    memories: tuple[MemoryText, ...] = ()


class _Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    redirect_uris: tuple[NonBlank, ...] = ()
    return_destinations: tuple[NonBlank, ...] = ()

    def __post_init__(self) -> None:
        for number, uri in enumerate(self.redirect_uris, 1):
            if reason := redirect_uri_error(uri):
                raise ValueError(f"redirect_uris {number}: {reason}, unlike {uri!r}")
        for number, uri in enumerate(self.return_destinations, 1):
            if read_return_destination(uri) is None:
                raise ValueError(
                    f"return_destinations {number}: {uri!r} must be https, http on localhost, or an app's link (myapp://...)"
                )


class SeededAgent(_Addresses, frozen=True, kw_only=True):
    """An agent beside the first one, and its registered addresses."""

    handle: Handle


class Seed(_Addresses, frozen=True, kw_only=True):
    """A validated seed. Addresses and scopes are those of the first agent; `scopes` None leaves them as they are."""

    people: tuple[SeededPerson, ...] = ()
    agents: tuple[SeededAgent, ...] = ()
    scopes: tuple[Scope, ...] | None = None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        _Addresses.__post_init__(self)
        _refuse_repeated("people", "phone", [one.phone for one in self.people])
        _refuse_repeated("people", "user_id", [one.user_id for one in self.people])
        _refuse_repeated("agents", "handle", [one.handle for one in self.agents])


def _refuse_repeated(table: str, name: str, values: list[str]) -> None:
    for number, value in enumerate(values, 1):
        if (first := values.index(value) + 1) < number:
            raise ValueError(f"{table} {number}, {name}: {table} {first} has the same one")


def read_seed(source: Path | str | Mapping[str, object]) -> Seed:
    """Read a .json or .toml file, or the same as a mapping. Raises SeedError, which names the place in it."""
    name = "the seed" if isinstance(source, Mapping) else str(source)
    values = source if isinstance(source, Mapping) else _parsed(Path(source))
    try:
        seed = msgspec.convert(values, Seed)
        msgspec.json.encode(seed)
    except msgspec.ValidationError as error:
        raise SeedError(name, place_of(error), message_of(error)) from None
    except UnicodeEncodeError:
        raise SeedError(name, "", "it has half a surrogate pair in it; write the whole character") from None
    return seed


def _parsed(path: Path) -> Any:
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise SeedError(str(path), "", f"its name must end in {' or '.join(_PARSERS)}")
    try:
        return parse(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SeedError(str(path), "", f"it can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SeedError(str(path), "", "it is not UTF-8; save it as that") from None
    except RecursionError:
        raise SeedError(str(path), "", "it is nested too deeply; a seed has three levels") from None
    except ValueError as error:
        raise SeedError(str(path), "", f"it is not {path.suffix[1:].upper()}: {error}") from None


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    ".json": lambda text: json.loads(text, object_pairs_hook=no_duplicates),
    ".toml": tomllib.loads,
}
