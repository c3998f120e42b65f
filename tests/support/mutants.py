"""`make mutation`: what became of each mutant that mutmut made, by module; and a seeded sample of all other modules.

A survivor is a change of the code that no test sees. Those that are equivalent are listed in tests/mutation.md with the
reason; this fails if fewer than `KILLED` % of a module's mutants are killed, or if a survivor isn't listed.

mutmut makes the mutants, in a copy of the tree. `mutant_runs.py` runs their tests: those that run the changed line.
Mutants that were killed before aren't run again unless their function has changed (`rm -r mutants` forgets them), nor
are those that tests/mutation.md lists.
"""

from __future__ import annotations

import ast
import fnmatch
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import unified_diff
from functools import cache
from pathlib import Path
from textwrap import dedent

from coverage import CoverageData
from mutmut import __main__ as mutmut
from mutmut import configuration
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.mutation.diff_apply import generated_function_names
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, walk_mutatable_files, walk_source_files

from tests.support.mutant_runs import LONGEST, PLAN, RESULTS

KILLED = 90
SEED = 1
BUDGET = 60.0
"""Seconds of the processor after which no other test of a mutant begins: nearly all run each line of sealing."""
SAMPLED = "adapters api bearer behaviour claims flows messages provider runtime secrecy stores verification".split()
"""The folders of tests that run for a sample: those without browsers and without programs of their own."""

KNOWN = Path("tests/mutation.md")
COPY = Path("mutants")
EXIT_CODES = {"killed": 1, "survived": 0, "no tests": 33, "timeout": 36}
"""mutmut's, which stores them beside its mutants."""


@cache
def _spans(path: Path) -> MutantLineSpans:
    found = MutantLineSpans.load(path)
    assert found is not None, f"{path} has no mutants"
    return found


def sources(name: str, path: Path) -> tuple[list[str], list[str]]:
    """The lines of a function without and with a mutant."""
    names = generated_function_names(name)
    before, after = _spans(path).read_function_sources(names)
    return before.replace(*names).splitlines(), after.splitlines()


def changes(name: str, path: Path) -> str:
    """The lines that a mutant changes, as one: it stays the same while other mutants come and go."""
    lines = list(unified_diff(*sources(name, path), n=0))[2:]
    return " -> ".join(" ".join(line[1:].split()) for sign in "-+" for line in lines if line.startswith(sign))


@dataclass(frozen=True)
class Mutant:
    name: str
    path: Path
    status: str


def mutants() -> Iterator[Mutant]:
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            yield Mutant(name, path, status_by_exit_code[code])


def known() -> frozenset[str]:
    """The changes that tests/mutation.md lists."""
    return frozenset(re.findall(r"^- `(.*)`$", KNOWN.read_text(encoding="utf-8"), re.MULTILINE))


def generate() -> None:
    set_mutant_under_test("mutant_generation")
    COPY.mkdir(exist_ok=True)
    for path in walk_source_files():
        # Else mutmut keeps its first copy of what it doesn't mutate.
        if not configuration.config().should_mutate(path):
            (COPY / path).unlink(missing_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    mutmut.create_mutants(1)


def pytest(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    config = configuration.config()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.mutant_runs", "-p", "no:randomly"]
    command += ["--hypothesis-profile", "mutation", *config.pytest_add_cli_args, *arguments]
    command += config.pytest_add_cli_args_test_selection
    return subprocess.Popen(command, cwd=COPY, env=os.environ | environment)


class Coverage:
    """Which tests run which lines of the mutated modules, without any mutant."""

    def __init__(self) -> None:
        for old in COPY.glob(".coverage*"):
            old.unlink()
        if pytest("--cov", "--cov-context=test", "--cov-report=").wait() != 0:
            sys.exit("a test fails without a mutant")
        self._data = CoverageData(str(COPY / ".coverage"))
        self._data.read()
        self._contexts: dict[Path, dict[int, list[str]]] = {}

    def tests(self, mutant: Mutant) -> tuple[str, ...]:
        """The tests that run a statement which the mutant changes, or its function where it changes the signature."""
        before, after = sources(mutant.name, mutant.path)
        at = next((i for i, (one, other) in enumerate(zip(before, after)) if one != other), 0)  # noqa: B905
        start = _spans(mutant.path).span_by_function_name[generated_function_names(mutant.name)[0]].start
        if mutant.path not in self._contexts:
            self._contexts[mutant.path] = self._data.contexts_by_lineno(str((COPY / mutant.path).absolute()))
        lines = self._contexts[mutant.path]
        found = (test for line in statement(before, at + 1) for test in lines.get(start + line - 1, ()))
        return tuple(sorted({test.partition("|")[0] for test in found if test}))


def statement(function: Sequence[str], line: int) -> range:
    """The lines of the smallest statement around a line, the first being 1; of one with a body, those before it."""
    around = (node for node in ast.walk(ast.parse(dedent("\n".join(function)))) if isinstance(node, ast.stmt))
    inner = max((node for node in around if node.lineno <= line <= (node.end_lineno or 0)), key=lambda one: one.lineno)
    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
        return range(inner.body[0].lineno, len(function) + 1)
    body = getattr(inner, "body", None)
    return range(inner.lineno, max(inner.lineno, body[0].lineno - 1 if body else inner.end_lineno or 0) + 1)


def run(chosen: Sequence[Mutant]) -> None:
    """Run the tests of each mutant. A process that hangs or isn't clean any more is replaced."""
    coverage = Coverage()
    outcomes = dict[str, str]()
    covering = {mutant.name: coverage.tests(mutant) for mutant in chosen}
    outcomes |= {name: "no tests" for name, tests in covering.items() if not tests}
    sets = {tests: number for number, tests in enumerate(dict.fromkeys(covering.values()))}
    store(chosen, outcomes)
    results, unclean, seen = COPY / RESULTS, set[str](), 0
    results.unlink(missing_ok=True)
    results.touch()
    while left := [(name, sets[tests]) for name, tests in covering.items() if name not in outcomes]:
        (COPY / PLAN).write_text(
            json.dumps({"covering": list(sets), "mutants": left, "careful": list(unclean)}), encoding="utf-8"
        )
        process = pytest(MUTATION=str(BUDGET))
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if time.time() - results.stat().st_mtime > 20 * LONGEST:
                process.kill()
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        if len(lines) == seen:
            sys.exit("the tests can't be run")
        seen = len(lines)
        outcomes |= {name: what for name, what, *_ in lines if what in ("killed", "survived")}
        for name in {name for name, what, *_ in lines if what == "unclean"} - unclean:
            # Another mutant may have left what made the test fail: once more, in a process of which that is known.
            unclean.add(name)
            del outcomes[name]
        if lines and lines[-1][1] == "begun":
            outcomes[lines[-1][0]] = "timeout"
        store(chosen, outcomes)


def store(chosen: Sequence[Mutant], outcomes: dict[str, str]) -> None:
    for path in {mutant.path for mutant in chosen}:
        data = SourceFileMutationData(path=path)
        data.load()
        data.exit_code_by_key |= {
            name: EXIT_CODES[outcomes[name]] for name in data.exit_code_by_key if name in outcomes
        }
        data.save()


def report(*, is_sample: bool) -> bool:
    """Print a table and the survivors that aren't known; return whether all is well, of a sample always."""
    equivalent, counts, unknown = known(), Counter[tuple[str, str]](), list[str]()
    for mutant in mutants():
        change = "" if mutant.status in ("killed", "timeout") else changes(mutant.name, mutant.path)
        counts[str(mutant.path), "known" if change in equivalent else mutant.status] += 1
        if mutant.status in ("survived", "no tests") and change not in equivalent:
            unknown.append(f"{mutant.name}: {change}")
    good = not unknown
    for module in sorted({module for module, status in counts if status != "not checked"}):
        killed = counts[module, "killed"] + counts[module, "timeout"]
        survivors = sum(counts[module, status] for status in ("survived", "no tests"))
        known_ones = counts[module, "known"]
        share = 100 * killed / max(1, killed + survivors + known_ones)
        print(
            f"{module.removeprefix('configure_auth/'):34} {killed + survivors + known_ones:5} mutants, {killed:5} "
            f"killed ({share:.1f} %), {known_ones} equivalent, {survivors} others, "
            f"{counts[module, 'not checked']} not run"
        )
        good = good and share >= KILLED
    print(*unknown, sep="\n")
    return good or is_sample


def main(patterns: list[str]) -> bool:
    """Run what a pattern names, else what wasn't killed before; with `sample=300` so many of the other modules."""
    size = int(patterns[0].removeprefix("sample=")) if patterns and patterns[0].startswith("sample=") else None
    if size is not None:
        config = configuration.config()
        others = [*config.only_mutate, "configure_auth/sandbox/*"]
        configuration._config = replace(
            config,
            only_mutate=[],
            do_not_mutate=others,
            pytest_add_cli_args=["-p", "no:cacheprovider"],
            pytest_add_cli_args_test_selection=[f"tests/{folder}" for folder in SAMPLED],
        )
    generate()
    equivalent = known()
    chosen = [
        one
        for one in mutants()
        if one.status not in ("killed", "timeout") and changes(one.name, one.path) not in equivalent
    ]
    if patterns[size is not None :]:
        chosen = [one for one in chosen if any(fnmatch.fnmatch(one.name, pattern) for pattern in patterns)]
    if size is not None:
        chosen = random.Random(SEED).sample(sorted(chosen, key=lambda one: one.name), size)
    run(chosen)
    return report(is_sample=size is not None)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
