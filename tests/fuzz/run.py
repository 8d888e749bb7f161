"""Fuzz the readers: damaged files in, and nothing out but DecafError, soon and in little memory.

    python tests/fuzz/run.py pth                          # 20,000 mutants, or 60 s of them
    python tests/fuzz/run.py all --table docs/security.md # every format; put the figures there
    python tests/fuzz/run.py pth --seed 3 --case 1234     # one case again, with its traceback
    python tests/fuzz/run.py pth --file build/fuzz/pth/x  # one file

For each format the hostile files of ``seeds/`` come first, then every truncation, then mutants
until there are enough or time is up.  All of it happens in a child process, because a fault in a C
library ends the process that meets it; this one watches, notes which case it was, and starts
another child behind it.  In the child a case fails if the reader

- raises anything but a DecafError, which a warning is, too;
- accepts a pickle that names what is forbidden (``tests/formats/payloads.py``);
- gives a result that is not what it promises (``targets.py``), or is larger than the bound;
- takes more than a second, twice;
- needs more memory than twice the file and 64 MB: the child may not have more
  (``RLIMIT_DATA``), and a MemoryError fails even if it became a DecafError;
- imports, opens, compiles, executes or connects to anything: an audit hook sees that.

What failed lies in ``build/fuzz/FORMAT``; the last line on stdout is the result as JSON, and the
exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import mmap
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from fuzz import mutate, targets  # noqa: E402
from fuzz.targets import Target, bound  # noqa: E402

from decaf.errors import DecafError  # noqa: E402

FOUND = ROOT / "build" / "fuzz"
SLOW = 1.0  # seconds that a case may take
HUNG = 10.0  # seconds after which the child is ended; more, for a machine that does other work
LONGEST_MESSAGE = 4000  # characters of an error: files can be creative
MOST_FAILURES = 20  # different ones that are reported
MOST_CHILDREN = 5  # that may die
HARMLESS = {  # events of the interpreter at work, which reach nothing outside it
    "array.__new__", "builtins.id", "gc.get_objects", "object.__delattr__", "object.__getattr__",
    "object.__setattr__", "sys._getframe",
}  # fmt: skip
STATE = struct.Struct("<q")  # number of the case in hand


class Forbidden(BaseException):
    """Not an Exception, so that no reader can catch it by accident."""


class Cases:
    """All cases of one run, by number."""

    def __init__(self, target: Target, seed: int) -> None:
        self.target, self.seed = target, seed
        self.hostile = list(target.hostile.items())
        self.cuts = mutate.truncations(target.seeds, target.words)
        self.wholes = [one.whole() for one in target.seeds]
        self.fixed = len(self.hostile) + len(self.cuts)  # those before the mutants

    def data(self, number: int) -> bytes:
        if number < len(self.hostile):
            return self.hostile[number][1]
        if number < self.fixed:
            index, length = self.cuts[number - len(self.hostile)]
            return self.wholes[index][:length]
        target = self.target
        return mutate.mutant(target.seeds, target.words, number, self.seed, target.name)

    def describe(self, number: int) -> str:
        if number < len(self.hostile):
            return f"hostile: {self.hostile[number][0]}"
        if number < self.fixed:
            return "seed {} cut to {:,} bytes".format(*self.cuts[number - len(self.hostile)])
        return f"mutant {number}"


class Guard:
    """An audit hook that lets nothing happen outside the interpreter while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event not in HARMLESS:
            self.on = False
            self.seen.append(f"{event} {arguments!r:.200}")
            raise Forbidden(self.seen[-1])


class Runner:
    """Runs cases in this process, and says what was wrong with them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        for seed in target.seeds:  # also imports whatever is imported late
            targets.check(target.read(seed.whole()), len(seed.whole()))
        for module in target.late:
            __import__(module)
        gc.collect()
        gc.freeze()
        warnings.simplefilter("error")
        self.guard = Guard()
        self.refusals: set[str] = set()
        self.accepted = self.refused = 0
        self.slowest, self.slowest_case = 0.0, ""
        self.resident = _resident()

    def attempt(self, data: bytes, about: str = "") -> tuple[str, str, str] | None:
        """Kind, short description and traceback of what is wrong, or None."""
        accepted = self.accepted
        problem, taken = self._once(data)
        if about.startswith("hostile: payload") and self.accepted > accepted:
            return "accepted", "a file that must be refused", ""
        for _ in range(2):  # the machine may have been busy with something else
            if problem is None and taken > SLOW:
                counts = self.accepted, self.refused
                problem, again = self._once(data)
                self.accepted, self.refused = counts  # a case counts once
                taken = min(taken, again)
        if taken > self.slowest:
            self.slowest, self.slowest_case = taken, about
        if problem is None and taken > SLOW:
            return "slow", f"{taken:.1f} s", ""
        return problem

    def _once(self, data: bytes) -> tuple[tuple[str, str, str] | None, float]:
        self.guard.seen.clear()
        error: BaseException | None = None
        result: Any = None
        with _limit(len(data)):
            start = time.perf_counter()
            self.guard.on = True
            try:
                result = self.target.read(data)
            except BaseException as caught:
                error = caught
            self.guard.on = False
            taken = time.perf_counter() - start
        if self.guard.seen:
            return self._problem("forbidden", error, self.guard.seen[0]), taken
        if isinstance(error, KeyboardInterrupt):
            raise error
        if isinstance(error, DecafError):
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, MemoryError):
                    return self._problem("memory", error), taken
                cause = cause.__cause__ or cause.__context__
            if len(str(error)) > LONGEST_MESSAGE:
                return self._problem("message", error, f"{len(str(error)):,} characters"), taken
            self.refused += 1
            self.refusals.add(_place(error))
            return None, taken
        if error is not None:
            kind = "memory" if isinstance(error, MemoryError) else "exception"
            return self._problem(kind, error), taken
        try:
            targets.check(result, len(data))
        except Exception as wrong:
            return self._problem("result", wrong), taken
        self.accepted += 1
        return None, taken

    def _problem(
        self, kind: str, error: BaseException | None, what: str = ""
    ) -> tuple[str, str, str]:
        trace = "".join(traceback.format_exception(error, limit=-8)) if error else ""
        return kind, what or f"{type(error).__name__}: {error}"[:300], trace[-4000:]


@contextmanager
def _limit(size: int) -> Iterator[None]:
    """Give the process no more memory than the bound allows for a file of `size` bytes."""
    used = _data_size()
    if used is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + bound(size), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_size() -> int | None:
    """Bytes that count for ``RLIMIT_DATA``; None where it is not known (outside Linux)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return None


def _resident() -> int:
    """Bytes of memory that the process has; from now on the peak is counted anew (on Linux)."""
    try:
        Path("/proc/self/clear_refs").write_bytes(b"5")
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return _peak()


def _peak() -> int:
    """Most bytes of memory that the process has had."""
    try:
        return int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) << 10
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _place(error: BaseException) -> str:
    """Where an error came from first: its line, and the line that called the function there."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return " ".join(lines[-2:])


# The child


def child(options: argparse.Namespace) -> None:
    """Run cases from `start` on; one line of JSON for each failure, and one for the result."""
    faulthandler.enable()
    target = targets.target(options.format)
    cases = Cases(target, options.seed)
    runner = Runner(target)
    with open(options.state, "r+b") as file:
        state = mmap.mmap(file.fileno(), STATE.size)
    failures: set[tuple[str, str]] = set()
    number, deadline = options.start, time.monotonic() + options.seconds
    started = time.monotonic()
    while number < cases.fixed + options.cases:
        if number <= cases.fixed and not options.start > cases.fixed:
            deadline = time.monotonic() + options.seconds
        elif time.monotonic() > deadline:
            break
        STATE.pack_into(state, 0, number)
        problem = runner.attempt(cases.data(number), cases.describe(number))
        if problem is not None:
            kind, what, trace = problem
            place = re.findall(r'File "[^"]*", line \d+', trace)[-1:]
            key = (kind, str(place) or what)
            if key not in failures and len(failures) < MOST_FAILURES:
                failures.add(key)
                print(json.dumps({"case": number, "kind": kind, "what": what, "trace": trace}))
                sys.stdout.flush()
        number += 1
    STATE.pack_into(state, 0, -1)
    result = {
        "done": number - options.start,
        "fixed": cases.fixed,
        "accepted": runner.accepted,
        "refused": runner.refused,
        "refusals": sorted(runner.refusals),
        "slowest": runner.slowest,
        "slowest case": runner.slowest_case,
        "memory": max(0, _peak() - runner.resident),
        "seconds": time.monotonic() - started,
    }
    print(json.dumps({"result": result}))


# The parent


def fuzz(
    name: str, cases: int = 20_000, seconds: float = 60.0, seed: int = 0, hung: float = HUNG
) -> dict[str, Any]:
    """Run one format, through as many children as it takes.

    Returns
    -------
    dict
        ``format``, ``seed``, ``cases``, ``accepted``, ``refused``, ``refusals`` (places in
        the code that raise a DecafError), ``slowest`` and ``seconds``, ``memory`` (bytes above
        the start), and ``failures``: a list with ``case``, ``kind``, ``what``, ``trace``,
        ``file``, ``repeat``.
    """
    total: dict[str, Any] = {"cases": 0, "accepted": 0, "refused": 0, "seconds": 0.0}
    total |= {"slowest": 0.0, "memory": 0}
    refusals: set[str] = set()
    failures: list[dict[str, Any]] = []
    start, left = 0, seconds
    for _ in range(MOST_CHILDREN):
        lines, death = _watch(name, cases, left, seed, start, hung)
        for line in lines:
            if "result" not in line:
                failures.append(line)
                continue
            result = line["result"]
            refusals.update(result["refusals"])
            total["cases"] += result["done"]
            for key in ("accepted", "refused", "seconds"):
                total[key] += result[key]
            total["memory"] = max(total["memory"], result["memory"])
            if result["slowest"] > total["slowest"]:
                total |= {key: result[key] for key in ("slowest", "slowest case")}
        if death is None:
            break
        failures.append(death)
        total["cases"] += max(0, death["case"] - start + 1)
        start, left = death["case"] + 1, left / 2
        if death["case"] < 0:
            break
    _save(name, seed, failures)
    total["seconds"], total["slowest"] = round(total["seconds"], 1), round(total["slowest"], 3)
    return {
        "format": name, "seed": seed, **total, "refusals": len(refusals), "failures": failures,
    }  # fmt: skip


def _watch(
    name: str, cases: int, seconds: float, seed: int, start: int, hung: float
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Run one child; what it printed, and how it died if it did."""
    with tempfile.TemporaryDirectory() as folder:
        state, out, err = (Path(folder, each) for each in ("state", "out", "err"))
        state.write_bytes(STATE.pack(-1))
        command = [
            sys.executable, __file__, name, "--child", f"--cases={cases}", f"--seed={seed}",
            f"--seconds={seconds}", f"--start={start}", f"--state={state}",
        ]  # fmt: skip
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT)
        last, since, ended = -1, time.monotonic(), False
        try:
            while process.poll() is None:
                time.sleep(0.05)
                (number,) = STATE.unpack(state.read_bytes())
                if number != last:
                    last, since = number, time.monotonic()
                elif number >= 0 and time.monotonic() - since > hung and not ended:
                    process.send_signal(signal.SIGABRT)  # faulthandler shows where it was
                    ended = True
                elif ended and time.monotonic() - since > hung + 5:
                    process.kill()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        (number,) = STATE.unpack(state.read_bytes())
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        if process.returncode == 0:
            return lines, None
        code, trace = process.returncode, err.read_text(errors="replace")[-4000:]
        what = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        kind = "hang" if ended else "crash"
        return lines, {"case": number, "kind": kind, "what": what, "trace": trace}


def _save(name: str, seed: int, failures: list[dict[str, Any]]) -> None:
    """Keep the files that failed, each with the command that runs it again."""
    if not failures:
        return
    cases = Cases(targets.target(name), seed)
    folder = FOUND / name.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for failure in failures:
        if failure["case"] < 0:
            continue
        path = folder / f"{failure['kind']}-{seed}-{failure['case']}"
        path.write_bytes(cases.data(failure["case"]))
        failure["about"] = cases.describe(failure["case"])
        failure["file"] = str(path.relative_to(ROOT))
        failure["repeat"] = f"python tests/fuzz/run.py {name} --file {failure['file']}"


# The command line


def again(options: argparse.Namespace) -> int:
    """Run one case in this process."""
    faulthandler.enable()
    target = targets.target(options.format)
    if options.file:
        data = Path(options.file).read_bytes()
    else:
        cases = Cases(target, options.seed)
        data = cases.data(options.case)
        print(cases.describe(options.case))
    faulthandler.dump_traceback_later(HUNG, exit=True)
    runner = Runner(target)
    problem = runner.attempt(data)
    print(f"{len(data):,} bytes, {runner.slowest:.3f} s, accepted: {runner.accepted}")
    print("\n".join(problem) if problem else "fine: " + "; ".join(runner.refusals))
    return int(problem is not None)


def table(results: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table."""
    rows = [
        ("format", "cases", "seconds", "accepted", "refused", "refusals",
         "slowest case", "memory", "failures"),
        ("---", *["---:"] * 8),
        *((f"`{r['format']}`", f"{r['cases']:,}", f"{r['seconds']:.0f}", f"{r['accepted']:,}",
           f"{r['refused']:,}", f"{r['refusals']:,}", f"{1000 * r['slowest']:.0f} ms",
           f"{r['memory'] / 2**20:.0f} MB", str(len(r["failures"]))) for r in results),
    ]  # fmt: skip
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", help=f"all, or one of {', '.join(targets.NAMES)}")
    parser.add_argument("--cases", type=int, default=20_000, help="mutants (20,000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for the mutants (60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run only this one")
    parser.add_argument("--file", help="run only this file")
    parser.add_argument("--table", type=Path, help="a page whose table of figures is replaced")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--state", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return 0
    if options.case is not None or options.file:
        return again(options)
    results = []
    for name in targets.NAMES if options.format == "all" else [options.format]:
        result = fuzz(name, options.cases, options.seconds, options.seed)
        results.append(result)
        for failure in result["failures"]:
            print(f"{name}: {failure['kind']}: {failure['what']}\n{failure['trace']}")
            print(failure.get("about", ""), "\n ", failure.get("repeat", ""), "\n")
        short = {**result, "failures": len(result["failures"])}
        print(json.dumps(short), flush=True)
    if options.table:
        page = options.table.read_text(encoding="utf-8")
        old = re.search(r"\| format \|.*\n(\|.*\n)*", page)
        if old is None:
            sys.exit(f"{options.table}: must have a table of figures to replace")
        options.table.write_text(page.replace(old[0], table(results)), encoding="utf-8")
    return int(any(result["failures"] for result in results))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
