"""The sender of a message: recognized by their phone, or known by a stored token."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar

from ..errors import ConfigureError
from ..runtime.verbs import verb
from ..settings import Settings
from ..values import MessageIdentity, PhoneRecognition, Secret
from .call import HttpCall
from .profile import Subject
from .sign_in import SignInCalls, is_agent_token
from .texts import first
from .wire import ApiCalls, ResponseBody, api_call, invalid, plain, require_text

T = TypeVar("T")

log: logging.Logger = logging.getLogger(__name__)

_MOST_CANDIDATES = 20
_LONGEST_CANDIDATE = 256
# What JavaScript's `trim` takes away; `str.strip` leaves U+FEFF and takes four control characters more.
_JAVASCRIPT_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


class SenderCalls(ApiCalls):
    """The senders of messages."""

    @verb
    def recognize_phone(self, candidates: Iterable[str | None]) -> HttpCall[PhoneRecognition]:
        """Ask Configure to recognize a message's sender by the phones that a platform reports.

        Recognised is not approved: there is a token only where the person let our agent in before, and any
        contradiction in the response (another agent, a token for another use, no user recognized) counts as not
        approved.

        Args:
            candidates: 1 to 20 strings of at most 256 characters; None, blank and repeated ones aren't counted. They
                are sent as they are, and Configure takes a number without a country code for an international one: give
                numbers as +<country code><number>.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR for a malformed response.
        """
        return _recognize(self._settings, _trimmed(candidates))

    @verb
    async def resolve_message_identity(
        self,
        *,
        external_id: str,
        token: str | Secret | None = None,
        phone_candidates: Iterable[str | None] | None = (),
        validate_token: bool = False,
        raise_on_auth_error: bool = False,
    ) -> MessageIdentity:
        """Return the sender of a message: a linked person by token or phone, else the app's own id for them.

        A failure of Configure counts as not linked, so that the thread goes on, and is logged with its code.

        Args:
            external_id: the app's id for the sender, 1 to 255 characters of Latin-1.
            token: the stored agent token; None or empty where there is none. It is trusted without a call, and then
                says nothing of the user, unless `validate_token` is set; one that isn't our agent's is ignored.
            phone_candidates: up to 20 names of the sender that may be phone numbers, as `recognize_phone` takes them;
                None and blank ones count as not given.
            validate_token: ask Configure about the stored token: when it comes from durable storage, after a
                completion, and on the first message after a restart.
            raise_on_auth_error: raise the failures of Configure instead.

        Raises:
            ConfigureError: INVALID_INPUT for arguments that can't be right, before anything is sent; what Configure
                failed with, where `raise_on_auth_error` is set.
        """
        # All arguments are judged first, and no frame keeps a plain token or phone while a call is on its way.
        Subject(external_id=external_id)
        stored = Subject(token=token).token if token is not None and plain(token) else None
        listed = _trimmed(phone_candidates)
        recognition = _recognize(self._settings, listed) if listed else None
        del token, phone_candidates, listed
        if stored is not None:
            user_id = None
            if validate_token:
                validation = await _attempt(
                    SignInCalls(self._settings).validate_sign_in_token(stored),
                    "the check of a stored token",
                    raise_on_auth_error,
                )
                user_id = None if validation is None else validation.user_id
                if validation is None or not is_agent_token(validation, self._settings.required_agent):
                    stored = None
            if stored is not None:
                return MessageIdentity(
                    external_id=external_id, token=stored, user_id=user_id, approved=True, source="token"
                )
        found = None
        if recognition is not None:
            found = await _attempt(recognition, "the recognition of a phone", raise_on_auth_error)
        if found is None:
            return MessageIdentity(external_id=external_id)
        linked = found.approved and found.token is not None and found.user_id is not None
        return MessageIdentity(
            external_id=external_id,
            token=found.token if linked else None,
            user_id=found.user_id if linked else None,
            approved=found.approved,
            recognized=found.recognized,
            display_name=found.display_name,
            source="phone_recognition" if linked else "external_id",
        )


def _recognize(settings: Settings, candidates: list[str]) -> HttpCall[PhoneRecognition]:
    if not 1 <= len(candidates) <= _MOST_CANDIDATES:
        raise invalid(f"candidates must be 1 to {_MOST_CANDIDATES} strings that aren't blank")
    path, parse = "/v1/auth/sign-in/recognize-phone", partial(_recognition, settings.required_agent)
    return api_call(settings, "POST", path, parse, "the recognition of a phone", body={"candidates": candidates})


def _trimmed(candidates: Iterable[str | None] | None) -> list[str]:
    """Each candidate once, without the space around it, as Configure's own client sends them."""
    if candidates is None or candidates == "":
        return []
    if isinstance(candidates, str | bytes | Mapping) or not isinstance(candidates, Iterable):
        raise invalid("candidates must be a list of strings")
    listed: dict[str, None] = {}
    for candidate in candidates:
        trimmed = candidate.strip(_JAVASCRIPT_SPACE) if isinstance(candidate, str) else candidate
        if trimmed is not None and trimmed != "":
            require_text("a candidate", trimmed, _LONGEST_CANDIDATE)
            listed[trimmed] = None
    return list(listed)


def _recognition(agent: str, body: ResponseBody) -> PhoneRecognition:
    found = (body.boolean("matched"), body.boolean("recognized"))
    approved = (
        body.boolean("approved") is True
        and False not in found
        and body.text("agent") in (None, agent)
        and body.text("token_use") in (None, "agent")
    )
    token, older = body.secret("token"), body.secret("agent_token")
    if token is not None and older is not None and token != older:
        body.refuse("token")
    count = body.number("phone_candidate_count")
    return PhoneRecognition(
        recognized=False not in found and (True in found or approved),
        approved=approved,
        # Only a token that nothing speaks against gets any further.
        token=(token or older) if approved else None,
        user_id=body.text("user_id"),
        agent=body.text("agent"),
        display_name=first(body.fields, "display_name", "displayName"),
        phone_candidate_count=None if count is None else int(count),
    )


async def _attempt(call: HttpCall[T], what: str, raises: bool) -> T | None:
    try:
        value: T = await call
    except ConfigureError as error:
        if raises:
            raise
        log.warning("the sender of a message is resolved without %s, which failed (%s)", what, error.code)
        return None
    return value
