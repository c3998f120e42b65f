"""The JSON body of a POST: one small object."""

from __future__ import annotations

import re
from typing import Any

from ..client.wire import json_object
from ..errors import Code, SignInError
from .effects import AskApp
from .request import Request

LIMIT = 16 * 1024
"""Bytes that a body may have."""

_JSON = re.compile(r"""application/json(?:\s*;\s*charset="?utf-8"?)?""", re.ASCII | re.IGNORECASE)


async def read_json_body(request: Request) -> dict[str, Any]:
    """Return the object in the request's body.

    Raises:
        SignInError: 415 for any other type than JSON in UTF-8, before the body is read; 413 for more than 16 KiB; 400
            for what isn't one object, with a key twice, or nested deeply.
    """
    if not _JSON.fullmatch(request.headers.get("content-type", "").strip(" \t")):
        # Prevents CSRF: no form can send this type, and a script of another site needs a preflight.
        raise SignInError(Code.INVALID_REQUEST, "the body must be application/json", status=415)
    length = request.headers.get("content-length", "0")
    too_long = not (length.isascii() and length.isdecimal() and len(length) < 9) or int(length) > LIMIT
    body: bytes = b"" if too_long else await AskApp(lambda app: app.body(LIMIT))
    if too_long or len(body) > LIMIT:
        raise SignInError(Code.INVALID_REQUEST, f"the body has more than {LIMIT} bytes", status=413)
    fields = json_object(body)
    if fields is None:
        # Deleted, so that a traceback that shows local variables contains no token.
        del body
        raise SignInError(Code.INVALID_REQUEST, "the body must be one JSON object")
    return fields
