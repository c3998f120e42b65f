"""`make mutation`: what became of each mutant that mutmut made, by module; and a seeded sample of all other modules.

A survivor is a change of the code that no test sees. Those that are equivalent are listed in tests/mutation.md with the
reason; this fails if fewer than `KILLED` % of a module's mutants are killed, or if a survivor isn't listed.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mutmut import __main__ as mutmut
from mutmut import configuration
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

KILLED = 90
SEED = 1
KNOWN = Path("tests/mutation.md")


def changes(name: str) -> str:
    """The lines that a mutant changes, as one: it stays the same while other mutants come and go."""
    lines = get_diff_for_mutant(name).splitlines()[2:]
    return " -> ".join(" ".join(line[1:].split()) for sign in "-+" for line in lines if line.startswith(sign))


def results() -> Iterator[tuple[str, str, str]]:
    """Module, mutant and status."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            yield str(path).removeprefix("configure_auth/"), name, status_by_exit_code[code]


def report(*, is_sample: bool) -> bool:
    """Print a table and the survivors that aren't known; return whether all is well, of a sample always."""
    known, counts, unknown = KNOWN.read_text(encoding="utf-8"), Counter[tuple[str, str]](), list[str]()
    for module, name, status in results():
        is_known = status in ("survived", "no tests") and f"`{changes(name)}`" in known
        counts[module, "known" if is_known else status] += 1
        if status in ("survived", "no tests") and not is_known:
            unknown.append(f"{name}: {changes(name)}")
    good = not unknown
    for module in sorted({module for module, status in counts if status != "not checked"}):
        killed = counts[module, "killed"] + counts[module, "timeout"]
        survived = sum(counts[module, status] for status in ("survived", "no tests"))
        known_ones = counts[module, "known"]
        share = 100 * killed / max(1, killed + survived + known_ones)
        print(
            f"{module:34} {killed + survived + known_ones:5} mutants, {killed:5} killed ({share:.1f} %), "
            f"{known_ones} equivalent, {survived} others"
        )
        good = good and share >= KILLED
    print(*unknown, sep="\n")
    return good or is_sample


def sample(count: int) -> list[str]:
    """Names of mutants of the modules that `only_mutate` leaves out, the same ones for the same code."""
    config, module = configuration.config(), cast(Any, mutmut)
    others = replace(config, only_mutate=[], do_not_mutate=[*config.only_mutate, "configure_auth/sandbox/*"])
    others.pytest_add_cli_args_test_selection[:] = ["tests"]
    configuration._config = others
    made = module.create_mutants

    def create(*given: Any) -> Any:
        stats = made(*given)
        names = sorted(name for _, name, _ in results())
        chosen[:] = random.Random(SEED).sample(names, min(count, len(names)))
        return stats

    chosen: list[str] = []
    module.create_mutants = create
    return chosen


if __name__ == "__main__":
    patterns = sys.argv[1:]
    size = patterns[0].removeprefix("sample=") if patterns and patterns[0].startswith("sample=") else None
    mutmut._run(patterns if size is None else sample(int(size)), 1)
    sys.exit(not report(is_sample=size is not None))
