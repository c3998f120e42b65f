"""People and addresses of one's own, read from a file and checked as a whole before anything is taken over."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from .errors import SeedError
from .people import read_phone, user_id_of
from .uris import read_return_destination, redirect_uri_error
from .values import IDENTITY, SCOPES, Person

MEMORY_CHARACTERS: Final = 1000
_HANDLE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_PERSON: Final = tuple(sorted((one.name for one in fields(Person)), key=lambda name: name != "phone"))
_HINTS: Final = get_type_hints(Person)


@dataclass(frozen=True, slots=True)
class SeededPerson:
    """Somebody, and what is remembered about them from the start."""

    person: Person
    memories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeededAgent:
    """A further agent, and where people may come back to from it."""

    handle: str
    redirect_uris: tuple[str, ...] = ()
    return_destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seed:
    """What a seed holds, checked. The addresses and scopes are those of the agent that is there from the start;
    `scopes` is None where nothing is said."""

    people: tuple[SeededPerson, ...] = ()
    agents: tuple[SeededAgent, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    return_destinations: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None


def read_seed(source: Path | str | Mapping[str, object]) -> Seed:
    """Reads a .json or .toml file, or the same as a mapping. Raises SeedError, which names the place in it."""
    if isinstance(source, Mapping):
        return _seed("the seed", source)
    path = Path(source)
    return _seed(str(path), _parsed(path))


def _parsed(path: Path) -> Mapping[str, object]:
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise SeedError(str(path), "", f"its name must end in {' or '.join(_PARSERS)}, so that its format is known")
    try:
        values = parse(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SeedError(str(path), "", f"it can't be read ({error.strerror}); name a file that is there") from None
    except UnicodeDecodeError:
        raise SeedError(str(path), "", "it is not UTF-8; save it as that") from None
    except RecursionError:
        raise SeedError(str(path), "", "it is nested too deeply; a seed has three levels") from None
    except ValueError as error:
        raise SeedError(str(path), "", f"it is not {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(values, Mapping):
        raise SeedError(str(path), "", 'it must be an object, as {"people": [...]}')
    return values


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_no_duplicates)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"{name!r} is there twice in one object")
        members[name] = value
    return members


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {".json": _json, ".toml": tomllib.loads}


@dataclass(frozen=True, slots=True)
class _Table:
    """A part of a seed, its place, and what may stand there."""

    source: str
    place: str
    values: Mapping[str, object]

    def fault(self, name: str, reason: str) -> SeedError:
        return SeedError(self.source, ", ".join(filter(None, [self.place, name])), reason)

    def only(self, *known: str) -> None:
        for name in self.values:
            if name not in known:
                raise self.fault(f"{name!r}", f"there is no such key; the keys here are {', '.join(known)}")

    def text(self, name: str) -> str | None:
        return None if name not in self.values else self._text(name, self.values[name])

    def flag(self, name: str) -> bool | None:
        value = self.values.get(name)
        if name in self.values and not isinstance(value, bool):
            raise self.fault(name, "it must be true or false")
        return value if isinstance(value, bool) else None

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._text(f"{name} {number}", value) for number, value in self._listed(name))

    def tables(self, name: str) -> Iterator[_Table]:
        for number, value in self._listed(name):
            if not isinstance(value, Mapping):
                raise self.fault(f"{name} {number}", "it must be an object of keys and values")
            yield _Table(self.source, f"{name} {number}", value)

    def _listed(self, name: str) -> Iterator[tuple[int, object]]:
        values = self.values.get(name, ())
        if not isinstance(values, list | tuple):
            raise self.fault(name, "it must be a list, in square brackets")
        return enumerate(values, 1)

    def _text(self, place: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.fault(place, "it must be text, in quotation marks")
        if not value.strip():
            raise self.fault(place, "it is blank; leave it out instead")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.fault(place, "it has half a surrogate pair in it, which is no letter; write the whole letter")
        return value


def _seed(source: str, values: Mapping[str, object]) -> Seed:
    table = _Table(source, "", values)
    table.only(*(one.name for one in fields(Seed)))
    return Seed(
        people=tuple(_people(table)),
        agents=tuple(_agents(table)),
        redirect_uris=_redirect_uris(table),
        return_destinations=_return_destinations(table),
        scopes=_chosen(table, "scopes", SCOPES) if "scopes" in values else None,
    )


def _people(table: _Table) -> Iterator[SeededPerson]:
    seen: dict[str, str] = {}
    for one in table.tables("people"):
        one.only(*_PERSON, "memories")
        person = _person(one)
        for name, value in (("phone", person.phone), ("user_id", person.user_id)):
            if value in seen:
                raise one.fault(name, f"it is that of {seen[value]} too; every person needs one of their own")
            seen[value] = one.place
        memories = one.texts("memories")
        for number, memory in enumerate(memories, 1):
            if len(memory) > MEMORY_CHARACTERS:
                raise one.fault(f"memories {number}", f"it is longer than {MEMORY_CHARACTERS} characters; split it")
        yield SeededPerson(person, memories)


def _person(table: _Table) -> Person:
    phone = table.text("phone")
    if phone is None:
        raise table.fault("", 'there is no phone; every person needs one, as in "+1 555 010 0001"')
    number = read_phone(phone)
    if number is None:
        raise table.fault("phone", f'{phone!r} is no phone number; write one as "+1 555 010 0001"')
    _chosen(table, "hidden", IDENTITY)
    values: dict[str, Any] = {}
    for name in _PERSON:
        if name in table.values:
            values[name] = _READERS[_HINTS[name]](table, name)
    return Person(**{"user_id": user_id_of(number), **values, "phone": number})


def _agents(table: _Table) -> Iterator[SeededAgent]:
    seen: set[str] = set()
    for one in table.tables("agents"):
        one.only(*(field.name for field in fields(SeededAgent)))
        handle = one.text("handle")
        if handle is None or not _HANDLE.fullmatch(handle):
            raise one.fault(
                "handle", "it must be 2 to 63 lowercase letters, digits and hyphens, with no hyphen at an end"
            )
        if handle in seen:
            raise one.fault("handle", f"{handle} is there twice; put its addresses into one entry")
        seen.add(handle)
        yield SeededAgent(handle, _redirect_uris(one), _return_destinations(one))


def _redirect_uris(table: _Table) -> tuple[str, ...]:
    uris = table.texts("redirect_uris")
    for number, uri in enumerate(uris, 1):
        if reason := redirect_uri_error(uri):
            raise table.fault(f"redirect_uris {number}", f"{reason}, unlike {uri!r}")
    return uris


def _return_destinations(table: _Table) -> tuple[str, ...]:
    uris = table.texts("return_destinations")
    for number, uri in enumerate(uris, 1):
        if read_return_destination(uri) is None:
            raise table.fault(
                f"return_destinations {number}",
                f"{uri!r} can't be one; use https, http on localhost, or the link of an app (myapp://...)",
            )
    return uris


def _chosen(table: _Table, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = table.texts(name)
    for number, one in enumerate(chosen, 1):
        if one not in known:
            raise table.fault(f"{name} {number}", f"{one!r} is not known; choose from {', '.join(known)}")
    return chosen


_READERS: Final[Mapping[object, Callable[[_Table, str], object]]] = {
    str: _Table.text,
    str | None: _Table.text,
    bool | None: _Table.flag,
    tuple[str, ...]: _Table.texts,
}
