"""The people a sandbox knows."""

from __future__ import annotations

from dataclasses import dataclass, field

from .values import Person


@dataclass(slots=True)
class People:
    """People by phone and by id."""

    _by_id: dict[str, Person] = field(default_factory=dict)
    _by_phone: dict[str, Person] = field(default_factory=dict)

    def put(self, person: Person) -> Person:
        self._by_id[person.user_id] = person
        self._by_phone[person.phone] = person
        return person

    def with_phone(self, phone: str) -> Person | None:
        return self._by_phone.get(phone)

    def get(self, user_id: str) -> Person | None:
        return self._by_id.get(user_id)

    def sign_up(self, phone: str) -> Person:
        """Return the person with this phone; add them if there is none."""
        return self._by_phone.get(phone) or self.put(Person(phone=phone))

    def all(self) -> tuple[Person, ...]:
        return tuple(self._by_id.values())
