"""What happens to each request before its endpoint: body limit, request log, holds, faults."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import islice
from typing import Final, cast
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .faults import Fault, Faults, body_bytes
from .http_messages import ApiError
from .values import Call, Origin

MAX_BODY: Final = 256 * 1024


class RequestLog:
    """Keeps the last `most` requests, all of them for None. Safe to use from any thread."""

    def __init__(self, most: int | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: deque[list[Call]] = deque(maxlen=most)
        self._count = 0

    def record(self, call: Call) -> Callable[[int], None]:
        """Keep a request; return a function that sets the status of its response."""
        entry = [call]
        with self._lock:
            self._entries.append(entry)
            self._count += 1

        def set_status(status: int) -> None:
            entry[0] = replace(call, status=status)

        return set_status

    def calls(self) -> list[Call]:
        with self._lock:
            return [call for (call,) in self._entries]

    def latest(self, most: int) -> tuple[list[Call], int]:
        """Return the last requests, newest first, and the number of all of them."""
        with self._lock:
            return [call for (call,) in islice(reversed(self._entries), most)], self._count

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._count = 0


class SandboxMiddleware:
    """ASGI middleware around one origin. `now` gives Unix seconds."""

    def __init__(self, app: ASGIApp, origin: Origin, log: RequestLog, faults: Faults, now: Callable[[], float]) -> None:
        self._app = app
        self._origin = origin
        self._log = log
        self._faults = faults
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        set_status = self._log.record(self._call(scope, body or b""))

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Before the response is sent, so that a test that has it also sees its status here.
                set_status(message["status"])
            await send(message)

        if body is None:
            too_large = ApiError(413, "invalid_request_error", "body_too_large", "the body is larger than 256 KiB")
            await too_large.response()(scope, receive, send_and_log)
            return
        hold = self._faults.hold_for(self._origin, scope["method"], scope["path"])
        if hold is not None:
            await hold.wait()
        fault = self._faults.take(self._origin, scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, _receive_of(body), send_and_log)
            return
        await self._apply(fault, scope, receive, send_and_log, body)

    async def _apply(self, fault: Fault, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        response: Response | None = None
        if fault.handled or not (fault.drop or fault.replaces):
            response = await _response_of(self._app, scope, body)
        if fault.delay:
            await self._faults.pause(fault.delay)
        if fault.drop:
            await _hang_up(scope, receive)
            return
        if fault.replaces or response is None:
            response = _forced(fault)
        for name, value in (fault.headers or {}).items():
            response.headers[name] = value
        if fault.cut is not None:
            await _cut(fault.cut, response, scope, receive, send)
        elif fault.drip:
            await self._drip(response, fault.drip)(scope, receive, send)
        else:
            await response(scope, receive, send)

    def _drip(self, response: Response, seconds: float) -> Response:
        async def single_bytes() -> AsyncIterator[bytes]:
            for byte in bytes(response.body):
                yield bytes([byte])
                await self._faults.pause(seconds)

        slow = StreamingResponse(single_bytes(), response.status_code)
        slow.raw_headers = list(response.raw_headers)
        return slow

    def _call(self, scope: Scope, body: bytes) -> Call:
        query = scope["query_string"].decode("latin-1")
        headers = Headers(scope=scope)
        return Call(
            origin=self._origin,
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(query, keep_blank_values=True)),
            query_string=query,
            headers={name: ", ".join(headers.getlist(name)) for name in headers},
            body=body,
            connection=cast(int, scope["state"]["connection"]),
            status=None,
            at=self._now(),
        )


async def _read(receive: Receive) -> bytes | None:
    """Return the request's body; None when it is too large, after reading all of it."""
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        size += len(message.get("body", b""))
        if size <= MAX_BODY:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body) if size <= MAX_BODY else None


def _receive_of(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _response_of(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    status, headers, chunks = 500, list[tuple[bytes, bytes]](), list[bytes]()

    async def collect(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            chunks.append(message.get("body", b""))

    await app(scope, _receive_of(body), collect)
    response = Response(b"".join(chunks), status)
    response.raw_headers = headers
    return response


def _forced(fault: Fault) -> Response:
    status = fault.status or 200
    if fault.body is not None:
        return Response(body_bytes(fault.body), status, media_type=fault.content_type or "application/json")
    if status < 400:
        return Response(b"", status, media_type=fault.content_type)
    kind, code = ("rate_limit_error", "rate_limited") if status == 429 else ("api_error", "internal_error")
    if status < 500 and status != 429:
        kind, code = "invalid_request_error", "scripted"
    retryable = status >= 500 or status == 429
    # Numbers only, as Configure's own clients read it; the header may also be a date.
    after = next((text for name, text in (fault.headers or {}).items() if name.lower() == "retry-after"), "")
    retry_after = int(after) if re.fullmatch("[0-9]{1,9}", after) else None
    return ApiError(status, kind, code, "a scripted fault", retryable=retryable, retry_after=retry_after).response()


async def _cut(size: int, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": list(response.raw_headers)})
    await send({"type": "http.response.body", "body": bytes(response.body)[:size], "more_body": True})
    await _hang_up(scope, receive)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    scope["state"]["hang_up"]()
    # Returning before the server noticed would make it send a response after all.
    while (await receive())["type"] != "http.disconnect":
        pass
