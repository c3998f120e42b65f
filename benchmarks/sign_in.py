"""What a sign-in costs: round trips, connections, CPU and start-up, beside the least that is possible.

    python benchmarks/sign_in.py            everything, in less than 10 minutes
    python benchmarks/sign_in.py --quick    fewer samples

The provider (`benchmarks/provider.py`) is another process and speaks TLS. Times in round trips are the slope between
round trips of 50 and 200 ms, so that CPU cancels out, of the fastest sample each. Every row is measured in a process of
its own.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = Path(__file__).parent
PATHS = {"login": "/auth/configure", "link": "/configure"}
CPU, REQUESTS = {"login": "3", "link": "2"}, {"login": "3", "link": "1"}
"""Targets of a callback: ms on a quiet machine, and requests to Configure."""


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.add_extension(address, critical=False)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, *form)
    path = folder / "certificate.pem"
    path.write_bytes(pem + certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def provider(certificate: Path, round_trip: float = 0.0, keep: float = 75.0) -> Iterator[str]:
    given = f"--round-trip={round_trip}", f"--keep={keep}", str(certificate)
    command = [sys.executable, str(HERE / "provider.py"), *given]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"https://127.0.0.1:{process.stdout.readline().strip()}"
        process.communicate("")


# In a process of its own.


def measure(app: str, url: str, flow: str, mode: str, samples: int, away: float) -> dict[str, float]:
    """Sign in `samples` times; return the least seconds of a callback, CPU in ms, and what the provider counted."""
    import apps  # type: ignore[import-not-found]  # beside this file

    with tempfile.TemporaryDirectory() as folder:
        store, made = f"sqlite:///{folder}/bench.db", None
        times, of_start, of_callback = [], [], []
        warming = 0 if mode == "cold" else 1 if away else 3
        for number in range(samples + warming):
            if made is None or mode == "cold":
                if made is not None:
                    made.close()
                made = apps.visit(app, url, store)
            made.forget()
            if flow == "link":
                made.get("/in/user")
            # A browser without Fetch Metadata, so that nothing is opened ahead.
            headers = {"Origin": apps.APP_URL} if mode == "cold" else {"Sec-Fetch-Site": "same-origin"}
            if number == 0:
                made.get("/plain")
            began = time.process_time()
            status, hosted = made.get(f"{PATHS[flow]}/sign-in", **headers)
            of_start.append(time.process_time() - began)
            assert status in (302, 303), (app, status)
            time.sleep(away)
            state = parse_qs(urlsplit(hosted).query)["state"][0]
            if number == warming:
                count(url)
            began, at = time.process_time(), time.perf_counter()
            status, location = made.get(f"{PATHS[flow]}/callback?code=c0de&state={state}")
            times.append(time.perf_counter() - at)
            of_callback.append(time.process_time() - began)
            assert status in (302, 303), (app, status)
            assert urlsplit(location).path == "/", (app, location)
        counted = count(url)
        assert made is not None
        made.close()
    kept = slice(warming, None)
    return {
        "seconds": min(times[kept]),
        "start": statistics.mean(of_start[kept]) * 1000,
        "callback": statistics.mean(of_callback[kept]) * 1000,
        "connections": counted["connections"] / samples,
        "requests": counted["requests"] / samples,
    }


def count(url: str) -> dict[str, int]:
    """What the provider has counted since the last time, without the connection of this question."""
    import ssl

    with urlopen(f"{url}/counters", context=ssl.create_default_context()) as answer:  # noqa: S310
        counted: dict[str, int] = json.load(answer)
    return {**counted, "connections": max(counted["connections"] - 1, 0)}


def measure_pages(app: str, url: str, samples: int) -> dict[str, float]:
    """CPU of a page of the app's own, and of one with the button, in ms."""
    import apps

    made = apps.visit(app, url, "memory://")
    found = {}
    for page in ("plain", "button"):
        if made.get(f"/{page}")[0] == 200:
            began = time.process_time()
            for _ in range(samples):
                made.get(f"/{page}")
            found[page] = (time.process_time() - began) / samples * 1000
    made.close()
    return found


IMPORTS = {
    "Flask": "import flask, authlib.integrations.flask_client",
    "Starlette": "import starlette.applications, starlette.middleware.sessions, starlette.templating\n"
    "import authlib.integrations.starlette_client",
}


def measure_import(app: str, url: str, ready: bool) -> dict[str, float]:
    """CPU and memory of the framework with Authlib, and with an app that is ready to serve."""
    exec(IMPORTS[app.partition(", ")[2]], {})  # noqa: S102  # fixed programs of this file
    if ready:
        import apps

        apps.APPS[app](url, "memory://")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"ms": (used.ru_utime + used.ru_stime) * 1000, "MB": used.ru_maxrss / 1024}


# In the main process.


def run(certificate: Path, function: str, *args: object) -> dict[str, float]:
    program = f"import sign_in; print(sign_in.json.dumps(sign_in.{function}(*{args!r})))"
    trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(certificate))
    environment = {**os.environ, **trusted, "PYTHONPATH": str(HERE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def round_trips(
    certificate: Path,
    trips: tuple[float, float],
    apps: list[str],
    flow: str,
    mode: str,
    samples: int,
    away: float = 0.0,
    keep: float = 75.0,
) -> list[str]:
    """A column: the slope of each app between two round trips in seconds."""

    def one(measured: tuple[float, str]) -> float:
        round_trip, app = measured
        with provider(certificate, round_trip, keep) as url:
            return run(certificate, "measure", app, url, flow, mode, samples, away)["seconds"]

    pairs = [(round_trip, app) for round_trip in trips for app in apps]
    # Apps that are away may be away together.
    with ThreadPoolExecutor(len(pairs) if away else 1) as pool:
        seconds = dict(zip(pairs, pool.map(one, pairs), strict=True))
    return [f"{(seconds[trips[1], app] - seconds[trips[0], app]) / (trips[1] - trips[0]):.1f}" for app in apps]


def table(title: str, apps: list[str], columns: dict[str, list[str]], targets: list[str]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for number, app in enumerate(apps):
        print(f"| {app} | {' | '.join(column[number] for column in columns.values())} |")
    print(f"| *target* | {' | '.join(targets)} |", flush=True)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer samples.")
@click.option("--only", default="", help="One of trips, away, cpu, pages, start.")
@click.option(
    "--trips", "milliseconds", nargs=2, default=(50, 200), help="The two round trips in ms; longer on a busy machine."
)
def main(quick: bool, only: str, milliseconds: tuple[int, int]) -> None:
    trips = milliseconds[0] / 1000, milliseconds[1] / 1000
    samples, away = (3, 6.0) if quick else (8, 30.0)
    every = ["limit, Flask", "this, Flask", "Authlib, Flask", "limit, Starlette", "this, Starlette"]
    both = [app for app in every if "Authlib" not in app]
    mine = [app for app in every if app.startswith("this")]
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder))
        if only in ("", "trips"):
            columns: dict[str, list[str]] = {}
            for mode in ("cold", "warm"):
                columns[f"login {mode}"] = round_trips(certificate, trips, every, "login", mode, samples)
            table("Callbacks of a login, in round trips", every, columns, ["4.2", "2.5"])
            columns = {
                f"link {mode}": round_trips(certificate, trips, both, "link", mode, samples)
                for mode in ("cold", "warm")
            }
            table("Callbacks of a link, in round trips", both, columns, ["3.1", "1.3"])
        if only in ("", "away"):
            cases = [(flow, keep) for flow in PATHS for keep in (5.0, 75.0)]

            def one(case: tuple[str, float]) -> list[str]:
                return round_trips(certificate, trips, mine, case[0], "warm", 3, away=away, keep=case[1])

            with ThreadPoolExecutor(len(cases)) as pool:
                names = [f"{flow}, connections closed after {keep:g} s" for flow, keep in cases]
                columns = dict(zip(names, pool.map(one, cases), strict=True))
            title = f"Callbacks after {away:g} s at Configure, in round trips"
            table(title, mine, columns, ["4.2", "2.5", "3.1", "1.3"])
        with provider(certificate) as url:
            if only in ("", "cpu"):
                columns = {}
                for flow in PATHS:
                    apps = every if flow == "login" else both
                    found = [run(certificate, "measure", app, url, flow, "warm", 20 * samples, 0.0) for app in apps]
                    columns = {name: [f"{one[name]:.2f}" for one in found] for name in ("callback", "start")}
                    columns |= {name: [f"{one[name]:.1f}" for one in found] for name in ("requests", "connections")}
                    of_limit = "5x and 8x the limit" if flow == "login" else ""
                    targets = [f"{CPU[flow]} {of_limit}".strip(), "1", REQUESTS[flow], "0"]
                    table(f"CPU of a {flow} in ms, and what it makes at Configure", apps, columns, targets)
            if only in ("", "pages"):
                pages = [run(certificate, "measure_pages", app, url, 100 * samples) for app in both]
                columns = {
                    name: [f"{one.get(name, float('nan')):.3f}" for one in pages] for name in ("plain", "button")
                }
                table("CPU of a page in ms", both, columns, ["limit + 2 %", "plain + 0.3"])
            if only in ("", "start"):
                columns = {"ms": [], "MB": []}
                for app in both:
                    tries = [[run(certificate, "measure_import", app, url, r) for _ in range(5)] for r in (False, True)]
                    for unit, column in columns.items():
                        least, ready = (min(one[unit] for one in one_of_two) for one_of_two in tries)
                        column.append(f"{ready - least:.0f}")
                table("Ready to serve, beyond the framework with Authlib (CPU)", both, columns, ["60", "8"])


if __name__ == "__main__":
    main()
