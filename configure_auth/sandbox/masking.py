"""What the activity page shows of codes, tokens and URLs: never a whole secret."""

from __future__ import annotations

import re
from typing import Final, get_args
from urllib.parse import parse_qsl, urlsplit

from .issuer import TokenKind
from .routes import served_at
from .values import Call

FIRST_LETTERS: Final = 4
_MARK: Final = "…"
_LONGEST_VALUE: Final = 120
_LONGEST_PART: Final = 32
_PUBLIC_PARAMETERS: Final = frozenset(
    "response_type client_id scope code_challenge_method agent_name delivery theme connectors sections limit".split()
)
_URL_PARAMETERS: Final = frozenset({"redirect_uri", "return_to", "resource"})
"""Of these, what comes before the query is shown."""
_PREFIXES: Final = ("sk_", "cfg_", "ocs_", "cfgsic_", "cfgoac_", *(f"{kind}_local_" for kind in get_args(TokenKind)))
"""Of keys, secrets, codes and tokens. What begins with pk_ or oc_ is public."""
_SECRET: Final = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(_PREFIXES)})[^\s,;/?#&]*")


def cut(text: str) -> str:
    """Mask secrets in a text, and shorten it."""
    return _shortened(masked(text), _LONGEST_VALUE)


def prefix_of(secret: str) -> str:
    """Return the first letters of a code or token, by which a developer recognizes it."""
    prefix = next((one for one in _PREFIXES if secret.startswith(one)), "")
    return _shortened(secret, len(prefix) + FIRST_LETTERS)


def masked(text: str) -> str:
    """Mask what begins as a secret, however short it is."""
    return _SECRET.sub(rf"\1{_MARK}", text)


def name_or_part(text: str) -> str:
    """Return a part of a path, or a parameter's name. One longer than ours may be anything, a token too."""
    text = masked(text)
    return text if len(text) <= _LONGEST_PART else text[: 2 * FIRST_LETTERS] + _MARK


def target_of(call: Call) -> str:
    """Return the path and query of a request, without the code of a sign-in link and without secret values."""
    served = next(served_at(call.origin, call.path), None)
    code = served.params.get("code") if served else None
    parts = (_shortened(one, FIRST_LETTERS) if one == code else name_or_part(one) for one in call.path.split("/"))
    pairs = parse_qsl(call.query_string, keep_blank_values=True)
    query = "&".join(f"{name_or_part(name)}={_value(name, value)}" for name, value in pairs)
    return "/".join(parts) + (f"?{query}" if call.query_string else "")


def _value(name: str, value: str) -> str:
    if name in _PUBLIC_PARAMETERS:
        return cut(value)
    if name not in _URL_PARAMETERS:
        return _MARK if value else ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return _MARK
    rest = f"?{_MARK}" if parts.query or parts.fragment else ""
    return cut(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}") + rest


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _MARK
