"""A program of somebody who has Configure's own SDK and nothing of this package.

It reads from standard input what to call, and prints the answers as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, is_dataclass
from inspect import isawaitable
from operator import attrgetter
from typing import Any

from configure_ai import (  # type: ignore[import-not-found]
    AsyncConfigureClient,
    ConfigureClient,
    ConfigureError,
)


async def main(told: dict[str, Any]) -> None:
    make = AsyncConfigureClient if told["client"] == "async" else ConfigureClient
    client = make(user_id=told["user_id"])
    answers = [await ask(client, told["token"], method, given) for method, given in told["steps"]]
    print(json.dumps(answers))


async def ask(client: Any, token: str | None, method: str, given: dict[str, Any]) -> Any:
    whose = {"auth_token": token} if method.startswith("profile.") else {}
    try:
        answer = attrgetter(method)(client)(**whose, **given)
        answer = await answer if isawaitable(answer) else answer
    except ConfigureError as error:
        said = ("code", "status_code", "backend_code", "suggested_action", "message")
        return {"error": {name: getattr(error, name) for name in said}}
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


asyncio.run(main(json.load(sys.stdin)))
