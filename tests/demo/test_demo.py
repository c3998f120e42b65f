"""The demo as a person runs it: what it says, that it answers, and that nothing of it is left behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import pytest

from configure_auth.sandbox.http_browser import HttpBrowser

from ..support.ports import three_free_ports
from ..support.stores import first

ROOT = Path(__file__).parents[2]
# A background job of a shell begins with SIGINT ignored; the demo has to end by it all the same.
COMMAND = ["sh", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, "example_apps/demo.py"]


class Demo:
    """One run of the demo. Its children share its pipes, so `end` returns only when none of them is left."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_line(self, words: str) -> str:
        assert self.process.stdout
        said = ""
        for line in self.process.stdout:
            said += line
            if words in line:
                return said
        pytest.fail(f"the demo ended without saying {words!r}: {said}{self.end()[1]}")

    def end(self, number: int | None = None) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@contextlib.contextmanager
def demo(folder: Path, port: int, sandbox_port: int, example: str = "flask") -> Iterator[Demo]:
    run = Demo(folder, PORT=str(port), SANDBOX_PORT=str(sandbox_port), APP=example)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


def free(port: int) -> bool:
    try:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            socket.create_server((host, port), family=family).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the example apps, which write their databases and keys beside their code."""
    folder = tmp_path_factory.mktemp("examples")
    ignored = shutil.ignore_patterns("instance", "__pycache__")
    shutil.copytree(ROOT / "example_apps", folder / "example_apps", ignore=ignored)
    return folder


@pytest.fixture
def ports() -> tuple[int, int]:
    """A port for the app and one for the sandbox, which takes the two after it as well: each call has seven."""
    port = three_free_ports()
    return port, port + 1


def get(host: str, port: int, path: str) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("flask", "Continue with Configure"),
        ("message", "Say “connect”."),
        pytest.param("starlette", "Continue with Configure", marks=pytest.mark.extended),
        pytest.param("fastapi", "Continue with Configure", marks=pytest.mark.extended),
    ],
)
@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
def test_both_addresses_answer_and_a_signal_ends_everything(
    examples: Path, ports: tuple[int, int], number: int, example: str, words: str
) -> None:
    port, sandbox_port = ports
    with demo(examples, port, sandbox_port, example) as run:
        said = run.await_line("Ctrl-C")
        assert f"http://localhost:{port} " in said
        assert f"http://127.0.0.1:{sandbox_port} " in said
        for host in ("127.0.0.1", "::1"):
            status, page = get(host, port, "/")
            assert status == 200
            assert words in page
        assert get("127.0.0.1", sandbox_port, "/v1/profile")[0] == 401

        assert run.end(number) == (0, "")

    assert all(free(sandbox_port + step) for step in (-1, 0, 1, 2))


@pytest.mark.extended
def test_the_message_agent_s_thread_goes_on_in_another_terminal(examples: Path, ports: tuple[int, int]) -> None:
    mark = secrets.token_hex(8)  # the thread of earlier runs is shown above it
    with demo(examples, *ports, "message") as run, HttpBrowser() as visitor:
        command = run.await_line("message_agent.terminal").splitlines()[-1].split()
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=examples, stdin=pipe, stdout=pipe, text=True) as terminal:
            assert terminal.stdin
            assert terminal.stdout
            terminal.stdin.write(f"disconnect\n{mark}\nconnect\n")
            terminal.stdin.flush()
            new = dropwhile(lambda line: mark not in line, terminal.stdout)
            link = next(found[0] for line in new if (found := re.search(r"http://127\S+", line)))
            visitor.sign_in(link, "+15550100001")
            terminal.stdin.write("hello\n")
            terminal.stdin.close()
            shown = terminal.stdout.read()

        assert [one.status for one in visitor.completions] == [200]
        assert shown.endswith("Echo: Ada Lovelace, I hear you: hello\n")


def test_children_do_not_outlive_a_demo_that_was_killed(examples: Path, ports: tuple[int, int]) -> None:
    with demo(examples, *ports) as run:
        run.await_line("Ctrl-C")
        assert run.end(signal.SIGKILL)[0] == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the children in /proc")
@pytest.mark.parametrize(("place", "name"), first([(0, "sandbox"), (1, "flask app")], rows=True))
def test_a_child_that_dies_ends_the_other(examples: Path, ports: tuple[int, int], place: int, name: str) -> None:
    with demo(examples, *ports) as run:
        run.await_line("Ctrl-C")
        children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        os.kill(int(children[place]), signal.SIGKILL)

        assert run.end() == (
            1,
            f"demo: the {name} ended by itself (exit code -9), so the demo ends; its words are above\n",
        )


@pytest.mark.parametrize(
    ("family", "host"), first([(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], rows=True)
)
@pytest.mark.parametrize("step", first([3, 0, 1]))
def test_a_busy_port_is_one_line(
    examples: Path, ports: tuple[int, int], step: int, family: socket.AddressFamily, host: str
) -> None:
    port, sandbox_port = ports
    with socket.create_server((host, port + step), family=family), demo(examples, port, sandbox_port) as run:
        status, errors = run.end()
    variable = "SANDBOX_PORT" if step else "PORT"
    assert status == 1
    assert errors == (
        f"demo: port {port + step} can't be used, {host}: Address already in use; "
        f"choose another one with {variable}=...\n"
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PORT": "many"}, "PORT=many isn't a port"),
        ({"PORT": "4012", "SANDBOX_PORT": "4010"}, "PORT=4012 is one of the sandbox's ports, 4010 to 4012"),
        ({"APP": "django"}, "APP=django isn't an example; there is: flask, starlette, fastapi, message, bot, claims"),
    ],
)
def test_settings_that_cannot_work_are_one_line(examples: Path, environment: dict[str, str], sentence: str) -> None:
    assert Demo(examples, **environment).end() == (1, f"demo: {sentence}\n")
