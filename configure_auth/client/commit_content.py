"""The content of one commit: messages of a turn, memories and results of tools, within Configure's limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, TypeVar

from ..runtime.frozen import dataclass
from .wire import invalid, json_body

T = TypeVar("T")

ROLES: Final = ("user", "assistant", "tool")
MOST_MESSAGES: Final = 20
LONGEST_MESSAGE: Final = 16_000
MOST_MEMORIES: Final = 20
LONGEST_MEMORY: Final = 1000
LONGEST_IN_ALL: Final = 50_000
_LONGEST_TOOL_NAME: Final = 255


@dataclass(frozen=True, kw_only=True)
class CommitContent:
    """Parts of a commit as they are sent. Lengths are in UTF-16 units, which is how Configure's own client counts.

    Raises:
        ConfigureError: INVALID_INPUT for more than one commit may hold.
    """

    messages: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    memories: tuple[str, ...] = field(default=(), repr=False)
    tool_results: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if len(self.messages) > MOST_MESSAGES:
            raise invalid(f"a commit holds at most {MOST_MESSAGES} messages")
        if len(self.memories) > MOST_MEMORIES:
            raise invalid(f"a commit holds at most {MOST_MEMORIES} memories")
        spoken = sum(_units(message["content"]) for message in self.messages)
        kept = sum(_units(memory) for memory in self.memories)
        told = sum(_units(result["toolName"]) + _content_units(result["content"]) for result in self.tool_results)
        if spoken + kept + told > LONGEST_IN_ALL:
            raise invalid(f"a commit holds at most {LONGEST_IN_ALL} characters in all")

    def __add__(self, other: CommitContent) -> CommitContent:
        return CommitContent(
            messages=self.messages + other.messages,
            memories=self.memories + other.memories,
            tool_results=self.tool_results + other.tool_results,
        )

    def __bool__(self) -> bool:
        return bool(self.messages or self.memories or self.tool_results)

    @property
    def fields(self) -> dict[str, Any]:
        """The members of the request's body; what is empty is left out."""
        parts = {"messages": self.messages, "memories": self.memories, "toolResults": self.tool_results}
        return {name: part for name, part in parts.items() if part}


def pack(
    messages: Sequence[object] | None = None,
    memories: Sequence[str] | None = None,
    tool_results: Sequence[Mapping[str, Any]] | None = None,
) -> CommitContent:
    """Check the parts of a commit one by one, and copy them.

    Raises:
        ConfigureError: INVALID_INPUT for a part that can't be sent; nothing of its text is in the message.
    """
    return CommitContent(
        messages=tuple(said for message in _items("messages", messages) for said in _said(message)),
        memories=tuple(
            require_multiline_text("a memory", memory, LONGEST_MEMORY).strip()
            for memory in _items("memories", memories)
        ),
        tool_results=tuple(_tool_result(result) for result in _items("tool_results", tool_results)),
    )


def _items(name: str, items: Sequence[T] | None) -> Sequence[T]:
    if items is not None and (isinstance(items, str | bytes) or not isinstance(items, Sequence)):
        raise invalid(f"{name} must be a list")
    return items or ()


def _said(message: object) -> Iterator[Mapping[str, str]]:
    """What a message of an app or of a framework says, in Configure's form; nothing for one without text."""
    parts = _field(message, "parts")
    if isinstance(parts, Sequence) and not isinstance(parts, str):  # Pydantic AI's
        for part in parts:
            yield from _said(part)
        return
    kind = _field(message, "role", "part_kind", "type")
    role = _ROLES.get(kind, kind) if isinstance(kind, str) else kind
    if role is None and isinstance(kind, str):
        return
    if role not in ROLES:
        raise invalid(f"a message must have a content, and as its role one of {', '.join(ROLES)}")
    content = _text(_field(message, "content"))
    if content is None:
        return
    told = {"role": str(role), "content": require_multiline_text("a message", content, LONGEST_MESSAGE)}
    tool = _field(message, "tool_name", "toolName")
    yield told | (
        {} if tool is None else {"toolName": require_multiline_text("a tool's name", tool, _LONGEST_TOOL_NAME)}
    )


_ROLES: Final[Mapping[str, str | None]] = {
    "human": "user",
    "user-prompt": "user",
    "ai": "assistant",
    "model": "assistant",
    "text": "assistant",
    "function": "tool",
    "tool-return": "tool",
    # What is no part of the conversation.
    **dict.fromkeys(("system", "developer", "system-prompt", "tool-call", "retry-prompt", "thinking", "reasoning")),
    **dict.fromkeys(("function_call", "function_call_output", "builtin-tool-call", "builtin-tool-return")),
}
"""The roles of frameworks as Configure's; None for what is left out."""


def _field(message: object, *names: str) -> Any:
    """The first of these fields of a mapping or an object that is set."""
    values = (message.get(name) if isinstance(message, Mapping) else getattr(message, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def _text(content: object) -> object:
    """The text of a content, which may be a list of parts; None where it has none."""
    if isinstance(content, list | tuple):
        texts = [one if isinstance(one, str) else _field(one, "text") for one in content]
        content = "\n".join(text for text in texts if isinstance(text, str))
    if isinstance(content, dict):  # what a tool returned
        content = json.dumps(content, default=str)
    return None if content is None or (isinstance(content, str) and not content.strip()) else content


def _tool_result(result: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(result, Mapping):
        raise invalid("a tool's result must have a tool_name and a content")
    name = require_multiline_text("a tool's name", result.get("tool_name", result.get("toolName")), _LONGEST_TOOL_NAME)
    content = result.get("content")
    if isinstance(content, str):
        return {"toolName": name, "content": require_multiline_text("a tool's result", content, LONGEST_IN_ALL)}
    copied = _copied(content) if isinstance(content, dict | list) else None
    if copied is None:
        raise invalid("the content of a tool's result must be a string, or an object or list that JSON can carry")
    return {"toolName": name, "content": copied}


def _copied(content: Any) -> Any:
    try:
        return json.loads(json_body({"content": content}))["content"]
    except (TypeError, ValueError, RecursionError):
        return None


def require_multiline_text(what: str, text: object, longest: int) -> str:
    """Refuse, before anything is sent, what is no text, blank or too long. Line breaks are fine."""
    if not isinstance(text, str) or not text.strip() or not 0 < _units(text) <= longest:
        raise invalid(f"{what} must be a text of 1 to {longest} characters")
    return text


def _units(text: str) -> int:
    """The length as JavaScript counts it; 0 for a text that UTF-8 can't carry."""
    try:
        return len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        return 0


def _content_units(content: Any) -> int:
    return _units(content if isinstance(content, str) else json_body({"": content}).decode()[4:-1])
