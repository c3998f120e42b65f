"""Two clients for Configure, blocking and awaited. Every verb is written once, in the module of its noun."""

from __future__ import annotations

import inspect
import os
import time
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Any, Generic, Self, TypeVar, cast, overload
from urllib.parse import urlsplit

from ..errors import ApiCode, ConfigureError, SettingsError
from ..events import CommitFailed, Event
from ..runtime.drivers import arun, run
from ..runtime.effects import Flow
from ..runtime.frozen import dataclass
from ..runtime.tracing import span
from ..runtime.verbs import Awaited, Blocking
from ..settings import Settings
from ..values import MessageIdentity, Secret
from .call import HttpCall
from .commits import CommitCalls, Unsettled, leave
from .connect import ConnectCalls
from .connections import Steps, drive
from .memories import MemoryCalls
from .message_identity import SenderCalls
from .message_lines import MessageLineCalls
from .message_sign_in import MessageSignInCalls
from .profile import Subject
from .profile_session import ProfileSession, ReadCalls
from .sign_in import SignInCalls
from .transport import CALL_TIMEOUT, AsyncTransport, Transport
from .wire import invalid

T = TypeVar("T")
U = TypeVar("U")
P = TypeVar("P", bound="_ProfileCalls")


class _Sending:
    """Verbs whose calls are sent by `_perform`, which takes one and returns its value, awaited or not."""

    _perform: Any

    def _performer(self) -> Any:
        return self._perform


class _AuthCalls(_Sending, SignInCalls, SenderCalls, MessageSignInCalls, MessageLineCalls):
    """Everything about the hosted sign-in."""

    def __init__(self, settings: Settings, perform: Any) -> None:
        super().__init__(settings)
        self._perform = perform


class Auth(_AuthCalls, Blocking):
    """The hosted sign-in, of `Configure.auth`."""


class AsyncAuth(_AuthCalls, Awaited):
    """The hosted sign-in, of `AsyncConfigure.auth`."""


@dataclass(frozen=True)
class _Blocks:
    """What the profiles of one client share at the end of their `with` blocks."""

    unsettled: Unsettled = field(default_factory=Unsettled)
    on_event: Callable[[Event], object] | None = None
    strict: bool = False

    def report(self, failure: ConfigureError | None) -> object:
        if failure is None or self.on_event is None:
            return None
        return self.on_event(CommitFailed(code=ApiCode(failure.code), request_id=failure.request_id))


class _ProfileCalls(_Sending, ReadCalls, MemoryCalls, CommitCalls, ConnectCalls):
    """Everything about the profile of one subject."""

    def __init__(self, perform: Any, settings: Settings, subject: Subject, blocks: _Blocks | None = None) -> None:
        super().__init__(ProfileSession(settings, subject))
        self._perform = perform
        self._blocks = blocks or _Blocks()

    def _left(self, kind: type[BaseException] | None) -> Flow[ConfigureError | None] | None:
        """Return what the end of a `with` block has to do. A cancellation or Ctrl-C is not delayed."""
        if kind is not None and not issubclass(kind, Exception):
            self._session.close()
            return None
        return leave(self._session, self._blocks.unsettled, failed=kind is not None, strict=self._blocks.strict)


class Profile(_ProfileCalls, Blocking):
    """The profile of one subject, in a session and runtime scope of its own: one person's, and one conversation's.

    As a context manager it commits once, at the end of the block, what was noted in it, and settles every read that
    owes a commit. It sends nothing where nothing is owed and nothing was noted. After an exception the notes are
    dropped, and the reads are settled all the same. A commit that fails and may succeed later doesn't raise: it is
    logged, reported as the event `CommitFailed`, and repeated by the next block of the same subject's profile; with
    `strict` it raises. An OAuth token needs the scope `profile.commit` for it.

        with configure.profile(token=token) as profile:
            identity = profile.read(sections=["identity"]).identity
            profile.note(messages=[{"role": "user", "content": question}], memories=["Prefers tea."])

    Args:
        perform: sends the calls; `Configure.send`, or a function that does something first.
    """

    def __enter__(self) -> Self:
        self._session.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if (flow := self._left(kind)) is not None:
            self._blocks.report(run(flow, self._perform))


class AsyncProfile(_ProfileCalls, Awaited):
    """`Profile`, awaited."""

    async def __aenter__(self) -> Self:
        self._session.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if (flow := self._left(kind)) is not None:
            told = self._blocks.report(await arun(flow, self._perform))
            if inspect.isawaitable(told):
                await told


class _Client(ABC, Generic[P]):
    """Base of both clients: their settings, and the profiles of their kind."""

    _kind: type[P]
    send: Any

    @overload
    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = CALL_TIMEOUT,
        on_event: Callable[[Event], object] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        api_key: str | Secret | None = None,
        agent: str | None = None,
        base_url: str | None = None,
        timeout: float = CALL_TIMEOUT,
        on_event: Callable[[Event], object] | None = None,
    ) -> None: ...

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        api_key: str | Secret | None = None,
        agent: str | None = None,
        base_url: str | None = None,
        timeout: float = CALL_TIMEOUT,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key  # no frame of an error may have it
        self.settings: Settings = _settings(settings, api_key, agent, base_url)
        self._blocks = _Blocks(on_event=on_event)
        self._connect(timeout)

    @abstractmethod
    def _connect(self, timeout: float) -> None:
        """Make what sends calls."""

    def profile(
        self,
        identity: MessageIdentity | None = None,
        /,
        *,
        token: str | Secret | None = None,
        external_id: str | None = None,
        strict: bool = False,
    ) -> P:
        """The profile of one subject: exactly one of the first three is given.

        Args:
            identity: a message's sender, who is read by token where linked, else by external id.
            token: a linked person's, from the link or the login.
            external_id: the app's id for one of its own users, 1 to 255 characters of Latin-1.
            strict: raise every failure of the commit at the end of a `with` block.

        Raises:
            ConfigureError: INVALID_INPUT for none, for more than one, and for what can't be sent.
        """
        subject = _subject(identity, token, external_id)
        return self._kind(self.send, self.settings, subject, replace(self._blocks, strict=strict))


@contextmanager
def _observed(call: HttpCall[Any]) -> Iterator[None]:
    """Record the span of a call, and name its endpoint in the error that it ends with."""
    endpoint = f"{call.method} {urlsplit(call.url).path}"
    with span(endpoint, http_request_method=call.method):
        try:
            yield
        except ConfigureError as error:
            error.endpoint = endpoint
            raise


class Configure(_Client[Profile]):
    """A client that blocks. Threads may share it, and it opens nothing before its first call.

    Example::

        with Configure() as client:  # the CONFIGURE_ variables of the process
            identity = client.profile(external_id="customer-1").read(sections=["identity"]).identity

    Args:
        settings: the app's settings; or else the three below.
        api_key: the secret key, `sk_...`.
        agent: the agent's handle.
        base_url: another origin of the API.
        timeout: seconds for a whole call, at most 300.
        on_event: called with `CommitFailed`.

    Without `settings`, whatever isn't given is read from the `CONFIGURE_*` variables of the process, now: a key given
    here goes to the API that CONFIGURE_BASE_URL names.

    Raises:
        SettingsError: settings together with one of the other three, or a malformed one.
    """

    _kind = Profile
    auth: Auth

    def _connect(self, timeout: float) -> None:
        self.auth = Auth(self.settings, self.send)
        self._transport = Transport(timeout)

    def send(self, call: HttpCall[T], /) -> T:
        """Send one call and return its value.

        Raises:
            ConfigureError: whatever went wrong.
        """
        with _observed(call):
            return call.parse(self._transport.send(call))

    def send_both(self, first: HttpCall[T], second: HttpCall[U], /) -> tuple[T, U]:
        """Send two calls at once; both end by one deadline. A failure of either is raised."""

        def steps(call: HttpCall[Any]) -> Steps[Any]:
            with _observed(call):
                return call.parse((yield from self._transport.steps(call)))

        ends = time.monotonic() + self._transport.timeout
        one, other = drive(ends, steps(first), steps(second))
        return one, other

    def open_ahead(self, count: int) -> None:
        """Open up to 4 connections to the API in the background, for calls in half a minute."""
        self._transport.open_ahead(self.settings.base_url, count)

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncConfigure(_Client[AsyncProfile]):
    """`Configure`, awaited, on asyncio and on trio. One may be used from several event loops, one after the other too.

    The arguments and errors are those of `Configure`.
    """

    _kind = AsyncProfile
    auth: AsyncAuth

    def _connect(self, timeout: float) -> None:
        self.auth = AsyncAuth(self.settings, self.send)
        self._transport = AsyncTransport(timeout)

    async def send(self, call: HttpCall[T], /) -> T:
        """`Configure.send`, awaited."""
        with _observed(call):
            return call.parse(await self._transport.send(call))

    async def send_both(self, first: HttpCall[T], second: HttpCall[U], /) -> tuple[T, U]:
        """Send two calls at once. The first failure of the two is raised as it is, and the other call given up."""
        import anyio

        values: dict[int, Any] = {}
        failures: list[Exception] = []

        async def send(place: int, call: HttpCall[Any]) -> None:
            try:
                values[place] = await self.send(call)
            except Exception as error:  # noqa: BLE001  # raised below, outside of the task group's wrapping
                failures.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, 0, first)
            tasks.start_soon(send, 1, second)
        if failures:
            raise failures[0]
        return values[0], values[1]

    async def open_ahead(self, count: int) -> None:
        """`Configure.open_ahead`; it doesn't wait for them."""
        await self._transport.open_ahead(self.settings.base_url, count)

    async def aclose(self) -> None:
        """Close the connections of the running loop. A later call opens new ones."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _settings(
    settings: Settings | None, api_key: str | Secret | None, agent: str | None, base_url: str | None
) -> Settings:
    given = {
        "CONFIGURE_API_KEY": Secret(api_key) if isinstance(api_key, str) else api_key,
        "CONFIGURE_AGENT": agent,
        "CONFIGURE_BASE_URL": base_url,
    }
    given = {name: value for name, value in given.items() if value is not None}
    del api_key
    if settings is None:
        return Settings.from_mapping(ChainMap(given, cast(dict[str, Any], os.environ)))
    if given:
        raise SettingsError("give either settings, or api_key, agent and base_url; settings have these in them")
    return settings


def _subject(identity: MessageIdentity | None, token: str | Secret | None, external_id: str | None) -> Subject:
    if identity is None:
        return Subject(token=token, external_id=external_id)
    if not isinstance(identity, MessageIdentity) or (token, external_id) != (None, None):
        raise invalid("give a MessageIdentity alone, or exactly one of token= and external_id=")
    if identity.linked:
        return Subject(token=identity.token, on_refused=identity.on_refused)
    return Subject(external_id=identity.external_id, is_unknown=identity.unlinked_because == "unavailable")
