"""The SDK of the npm package `configure` in a process of its own, called from here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from configure_auth.sandbox import Sandbox

from .node import Node

__all__ = ["NewSdk", "Sdk", "SdkError", "new_sdk", "sdk"]


class SdkError(Exception):
    """A `ConfigureError` of the SDK, with the fields that it had there."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__(fields["message"])
        self.code: str = fields["code"]
        self.status: int | None = fields.get("statusCode")
        self.suggested_action: str | None = fields.get("suggestedAction")
        self.fields = fields


class Sdk:
    """One client. Its verbs, arguments and answers are those of the SDK."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def auth(self, verb: str, *given: object) -> Any:
        return self._call({"of": "auth", "verb": verb, "given": given})

    def profile(self, subject: Mapping[str, Any], verb: str, *given: object) -> Any:
        """A verb of `configure.profile(subject)`, whose object is the same for the same subject."""
        return self._call({"of": "profile", "subject": subject, "verb": verb, "given": given})

    def fresh_profile(self, subject: Mapping[str, Any], verb: str, *given: object) -> Any:
        """The same for an object of its own."""
        return self._call({"of": "profile", "subject": subject, "fresh": True, "verb": verb, "given": given})

    def module(self, verb: str, *given: object) -> Any:
        """A function that the package exports."""
        return self._call({"of": "module", "verb": verb, "given": given})

    def user_info_at(self, url: str, access_token: str) -> Any:
        """`user_info` for another server than the sandbox."""
        options = {"clientId": "oc_client", "clientSecret": "ocs_secret", "apiKey": "sk_key", "agent": "acme"}
        return self._user_info({**options, "baseUrl": url}, access_token)

    def user_info(self, sandbox: Sandbox, access_token: str) -> Any:
        """What the provider for Better Auth tells about the owner of a token."""
        keys = sandbox.credentials
        options = {"clientId": keys.client_id, "clientSecret": keys.client_secret, "baseUrl": sandbox.api_url}
        options |= {"apiKey": keys.api_key, "agent": keys.agent}
        return self._user_info(options, access_token)

    def _user_info(self, options: Mapping[str, Any], access_token: str) -> Any:
        given = [{"accessToken": access_token}]
        return self._call({"of": "provider", "options": options, "verb": "getUserInfo", "given": given})

    def _call(self, call: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        print(json.dumps(call), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        end = json.loads(line)
        if "error" in end:
            raise SdkError(end["error"])
        return end["value"]


NewSdk = Callable[..., Sdk]
"""A client with the sandbox's settings, but for those that are given."""


@pytest.fixture
def new_sdk(node: Node, configure_sandbox: Sandbox) -> Iterator[NewSdk]:
    with ExitStack() as stack:

        def new(**changes: str) -> Sdk:
            environment = configure_sandbox.environment() | changes
            return Sdk(stack.enter_context(node.start("sdk.mjs", environment=environment)))

        yield new


@pytest.fixture
def sdk(new_sdk: NewSdk) -> Sdk:
    return new_sdk()
