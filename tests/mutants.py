"""Mutants: small faults drawn at random in the rooms whose answers must be right, and whether a test sees each of them.

    make mutants
    python tests/mutants.py --rooms geometry metrics --each 13 --seed 1 [--only TEXT]

The rooms' tests are collected once and run once with coverage, which says what test reaches what line (kept in
.coverage.mutants-...; delete it when tests or sources changed). Each mutant is then tried in a fork in which the
functions of its file have its code, on the tests that reach its line, then those that reach its file (what is cached
is worked out in one test and used in others), the quick ones first, up to the first failure.
(mutmut and cosmic-ray, the kept tools, start pytest for each mutant, which is hours here.)

Mutants that no test can see, judged by hand, stand with the reason in tests/equivalent_mutants.txt, counted apart.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

from faults import SOURCES, Mutant, drawn

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tests/equivalent_mutants.txt"
ROOMS = {
    "geometry": ["geometry/*.py"], "metrics": ["metrics/*.py"], "dialects": ["language/dialects/*.py"],
    "language": ["language/*.py", "language/phrases/*.py", "language/statements/*.py"],
    "refiners": ["refiners/*.py"], "grid": ["overlays/grid.py"], "images": ["images/*.py"], "results": ["results/*.py"],
}  # fmt: skip
TESTS = {"dialects": "language", "grid": "overlays"}
"""Folders of tests that are not called like their room."""
LEAST = 0.92
"""Share of the mutants that are not equivalent to be seen."""
MOST_TESTS, MOST_EXAMPLES, MOST_SECONDS = 200, 20, 1.0
"""Tests tried on one mutant, examples of a property, CPU seconds of a test: slower ones are not tried."""
ENDLESS = 60
"""CPU seconds after which a mutant counts as seen: it made a loop endless."""


class Trial:
    """A plugin of pytest: in place of running the tests it tries mutants on them.

    Args:
        mutants: what to try.
        say: is told each with the test that saw it, "endless", or nothing.
        reached: where what tests reach is kept.
    """

    def __init__(self, mutants: Sequence[Mutant], say: Callable[[Mutant, str], None], reached: Path) -> None:
        self._mutants, self._say = mutants, say
        self._reached, self._took = reached, reached.with_name(f"{reached.name}.seconds")
        self._pipe = 0
        self._items: dict[str, pytest.Item] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        if not self._reached.exists():
            self._forked(self._measure, 3600)
        data = coverage.CoverageData(str(self._reached))
        data.read()
        seeing = set()
        for each in self._mutants:
            reaching, (first, last) = data.contexts_by_lineno(str(each.path)), each.lines
            here = {name for line in range(first, last + 1) for name in reaching.get(line, ())}
            near = {name for names in reaching.values() for name in names}
            seen_by = self._forked(functools.partial(self._try, each, here, near))
            seeing |= {seen_by} & self._items.keys()
            self._say(each, seen_by)
        if failed := self._forked(lambda: self._run(sorted(seeing)), 3600):
            raise SystemExit(f"{failed} fails without any mutant: nothing is proved")
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._pipe:
            os.write(self._pipe, report.nodeid.encode())
            os._exit(1)

    def _measure(self) -> None:
        """Run all tests with coverage, each a context, and write how long those took that are quick."""
        self._pipe, took = 0, {}
        measured = coverage.Coverage(data_file=str(self._reached), config_file=False, include=[f"{SOURCES}/*"])
        measured.start()
        for name in self._items:
            measured.switch_context(name)
            start = time.process_time()
            self._run([name])
            took[name] = time.process_time() - start
        measured.stop()
        measured.save()
        lines = "".join(f"{seconds:.3f} {name}\n" for name, seconds in took.items() if seconds < MOST_SECONDS)
        self._took.write_text(lines, encoding="utf-8")

    def _try(self, mutant: Mutant, here: set[str], near: set[str]) -> None:
        """Run the tests that reach the line, then those that reach the file: what is cached one of them reaches."""
        quick = (line.split(" ", 1) for line in self._took.read_text(encoding="utf-8").splitlines())
        names = [name for *_, name in sorted((name not in here, float(s), name) for s, name in quick if name in near)]
        patch(mutant)
        self._run(names[:MOST_TESTS])

    def _run(self, names: Sequence[str]) -> None:
        items = [self._items[name] for name in names]
        for item, following in zip(items, [*items[1:], None], strict=False):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _forked(self, work: Callable[[], Any], seconds: int = ENDLESS) -> str:
        """Work in a fork and return the first test that fails, "endless", or nothing where all pass."""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
                signal.alarm(20 * seconds)
                self._pipe = writing
                work()
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode()
        status = os.waitpid(process, 0)[1]
        if not said and status and not os.WIFSIGNALED(status):
            raise SystemExit("a trial broke off without a test that failed: nothing is proved")
        return said or ("endless" if status else "")


def patch(mutant: Mutant) -> None:
    """Give the functions of a file, which may be imported only on first use, the mutant's code, and empty caches."""
    importlib.import_module(".".join(mutant.path.relative_to(SOURCES.parent).with_suffix("").parts))
    codes: dict[tuple[str, int], CodeType | None] = {}
    waiting = [compile(mutant.tree, str(mutant.path), "exec")]
    while waiting:
        code = waiting.pop()
        place = code.co_qualname, code.co_firstlineno
        codes[place] = None if place in codes else code  # two lambdas of one line
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    gc.unfreeze()  # what the suite put aside when it had collected
    for value in gc.get_objects():
        if isinstance(value, FunctionType) and value.__code__.co_filename == str(mutant.path):
            code = codes[value.__code__.co_qualname, value.__code__.co_firstlineno]
            value.__code__ = code or value.__code__
        elif isinstance(value, functools._lru_cache_wrapper):
            value.cache_clear()


def try_few_examples() -> None:
    """Let properties be tried on few examples, always the same; failing ones need not be made smaller."""
    init = settings.__init__

    def few(self: settings, parent: settings | None = None, **given: Any) -> None:
        fewer = {"max_examples": min(given["max_examples"], MOST_EXAMPLES)} if "max_examples" in given else {}
        init(self, parent, **{**given, **fewer})

    settings.__init__ = few  # type: ignore[method-assign]
    same = {"derandomize": True, "database": None, "phases": (Phase.explicit, Phase.generate)}
    checks = list(HealthCheck)
    settings.register_profile(
        "mutants", max_examples=MOST_EXAMPLES, deadline=None, suppress_health_check=checks, **same
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw mutants and say which of them no test sees.")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS), help="where to draw (default: all)")
    parser.add_argument("--each", type=int, default=13, help="how many mutants in each room (default 13)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (default 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="of those drawn, only those whose name holds TEXT")
    options = parser.parse_args()
    equivalent = dict(line.rsplit("  #  ", 1) for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if line)
    rooms = {room: ROOMS[room] for room in options.rooms}
    tried = [each for each in drawn(rooms, options.each, options.seed) if options.only in each.name]
    counts = Counter[tuple[str, str]]()

    def say(each: Mutant, seen_by: str) -> None:
        how = "seen" if seen_by else "equivalent" if each.name in equivalent else "alive"
        counts[each.room, how] += 1
        print(f"{how:10} {each.name} (line {each.lines[0]}) {seen_by or equivalent.get(each.name, '')}", flush=True)

    try_few_examples()
    os.chdir(ROOT)
    folders = dict.fromkeys(f"tests/{TESTS.get(room, room)}" for room in options.rooms)
    reached = ROOT / f".coverage.mutants-{'-'.join(options.rooms)}"
    quiet = ("-p", "no:cacheprovider", "-p", "no:terminal", "--hypothesis-profile=mutants")
    if status := pytest.main([*quiet, *folders], plugins=[Trial(tried, say, reached)]):
        return int(status)
    for room in options.rooms:
        print(f"{room:10}", *(f"{counts[room, how]:3} {how}" for how in ("seen", "alive", "equivalent")))
    seen, alive = (sum(number for (_, how), number in counts.items() if how == which) for which in ("seen", "alive"))
    share = seen / max(1, seen + alive)
    print(f"{seen} of {seen + alive} seen ({share:.1%}), besides {len(tried) - seen - alive} equivalent")
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
