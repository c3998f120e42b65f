"""A profile's verbs as functions, without a client: what they are given, and what came back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from configure_auth.client.call import HttpResponse
from configure_auth.client.profile import Subject
from configure_auth.client.profile_session import ProfileSession
from configure_auth.errors import ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import Secret

if TYPE_CHECKING:
    pass

SETTINGS = Settings(api_key=Secret("sk_key"), agent="acme")
LINKED = Subject(token="tok")
UNLINKED = Subject(external_id="e1")
SCOPE = {"type": "permission_error", "code": "insufficient_permissions", "message": "m"}


def talk(subject: Subject = LINKED) -> ProfileSession:
    return ProfileSession(SETTINGS, subject)


def reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={"content-type": "application/json", **(headers or {})}, content=content)


def refused(act: Callable[[], object]) -> ConfigureError:
    with pytest.raises(ConfigureError) as caught:
        act()
    return caught.value
