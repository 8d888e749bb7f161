"""Start the process that reads a foreign file, watch it, and understand how it ended.

See :mod:`decaf.convert.child` for what it does and how it answers.  Its answers are not
trusted: a file may have taken it over.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

from decaf import errors
from decaf.errors import DecafError, WeightsError
from decaf.formats.detect import LOOKED_AT, detect

MEGABYTE = 2**20
# Private memory that a reader may take: that for a file, and so much for each of its bytes.
# The file itself is mapped and does not count.
MEMORY, MEMORY_A_BYTE = 64 * MEGABYTE, 2
# The result: AlexNet in 8.9 MB of deep compression becomes 244 MB, which also takes memory.
PACKED = "deep-compression"
OUTPUT, OUTPUT_A_BYTE = 64 * MEGABYTE, 32
# Time, of the clock and of the processor: a slow disk reads 10 MB a second.
SECONDS, BYTES_A_SECOND = 60, 10_000_000

LONGEST_ANSWER = MEGABYTE
LONGEST_MESSAGE = 8192  # characters; a path may take half of it
LARGEST = 2**63  # of any number in an answer
CHUNK = 2**16  # bytes
POLL = 0.1  # seconds between two looks at the clock
SHOWN = 300  # characters of what a dying process said
# Python finds what its parent finds, and looks neither at the environment nor at the folder.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from decaf.convert.child import main; main()"
)
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_child(
    request: dict[str, Any], size: int, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """Let a child process convert a file, and return its result.

    Parameters
    ----------
    request : dict
        What :mod:`decaf.convert.child` wants to know, but for the limits.
    size : int
        Bytes of all that it reads; the limits grow with it.
    progress : callable, optional
        Called with bytes done and bytes in all; an exception of its own ends the child.

    Raises
    ------
    DecafError
        What the child raised; a WeightsError too if it died, took too long, or needed too much
        memory.
    """
    source = request["source"]
    seconds = SECONDS + size // BYTES_A_SECOND
    output = OUTPUT + OUTPUT_A_BYTE * size
    memory = MEMORY + MEMORY_A_BYTE * size
    if request["format"] == PACKED or (not request["format"] and _is_packed(source)):
        memory += output
    limits = {"memory": memory, "output": output, "seconds": seconds}
    if not sys.executable:
        raise WeightsError(
            f"{source}: must be converted by a process of its own; this Python, which runs inside "
            "another program, does not say how to start one (sys.executable)"
        )
    too_late = threading.Event()
    with tempfile.TemporaryFile() as noise:
        child = _start(source, noise)

        def stop() -> None:
            too_late.set()
            _kill(child)

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            last = _talk(child, {**request, "limits": limits}, progress, too_late)
            status = 0 if last else child.wait()
        finally:  # also after Ctrl-C
            timer.cancel()
            _end(child)
        if "result" in last:
            result: dict[str, Any] = last["result"]
            return result
        _raise(source, last)
        if too_late.is_set() or -status == getattr(signal, "SIGXCPU", None):
            raise WeightsError(f"{source}: could not be converted: it took over {seconds:,} s")
        said = _last_line(noise)
        raise WeightsError(
            f"{source}: could not be converted: the child process {_death(status)}"
            f"{f'; it said: {said}' if said else ''}"
        )


def _is_packed(source: str) -> bool:
    """Whether a file will be read as deep compression; its first bytes tell, and its name."""
    if not source.lower().endswith(".net"):
        return False
    try:
        with open(source, "rb") as file:
            return detect(file.read(LOOKED_AT), ".net") == PACKED
    except (OSError, WeightsError):  # so the child will say
        return False


def _start(source: str, noise: IO[bytes]) -> subprocess.Popen[bytes]:
    path = [entry or os.getcwd() for entry in sys.path if isinstance(entry, str)]
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env={**os.environ, **dict.fromkeys(ONE_THREAD, "1")},
            start_new_session=True,  # it can be killed with all that it starts
        )
    except OSError as error:
        raise WeightsError(
            f"{source}: must be converted by a process of its own; {sys.executable} could not be "
            f"started: {error}"
        ) from error


def _talk(
    child: subprocess.Popen[bytes],
    request: dict[str, Any],
    progress: Callable[[int, int], None] | None,
    too_late: threading.Event,
) -> dict[str, Any]:
    """Ask, pass on how far it is, and return the last that it says; empty if it says nothing."""
    stdin, stdout = child.stdin, child.stdout
    if stdin is None or stdout is None:
        return {}
    with suppress(BrokenPipeError):  # it has died already
        stdin.write(json.dumps(request).encode() + b"\n")
        stdin.flush()
    for line in _lines(stdout, too_late):
        answer = _understand(line)
        if "done" not in answer:
            return answer
        if progress:
            progress(answer["done"], answer["of"])
    return {}


def _lines(stdout: IO[bytes], too_late: threading.Event) -> Iterator[bytes]:
    """Yield what is said, a line at a time, until it ends or it is too late.

    The end alone would not do: who left the session of the child is not killed with it, and may
    keep its stdout open.  (Windows can only wait for the end.)
    """
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while not too_late.is_set():
            if os.name == "posix" and not selector.select(POLL):
                continue
            chunk = os.read(stdout.fileno(), CHUNK)
            if not chunk:
                return  # if it died in the middle of a word, that is lost
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > LONGEST_ANSWER:
                yield rest


def _understand(line: bytes) -> dict[str, Any]:
    """Return an answer that is what the child may say; an error in place of any other."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    match answer:
        case {"done": int(done), "of": int(of)} if 0 <= done <= of < LARGEST:
            return {"done": done, "of": of}
        case {"result": dict(result)}:
            return {"result": result}
        case {"memory": int(memory)} if 0 <= memory < LARGEST:
            return {"memory": memory}
        case {"error": str(error), "message": str(message)}:
            return {"error": error, "message": _clean(message, LONGEST_MESSAGE)}
    return {"error": "", "message": "the child process gave an answer that makes no sense"}


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child, and what it started, also where it has ended itself."""
    if os.name == "posix":
        with suppress(OSError):  # nobody is left
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Leave no process behind."""
    _kill(child)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with suppress(OSError):
                pipe.close()


def _raise(source: str, last: dict[str, Any]) -> None:
    """Raise what the child said went wrong, if it did say so."""
    if "memory" in last:
        raise WeightsError(
            f"{source}: could not be converted: it needs more memory than the "
            f"{last['memory'] / MEGABYTE:,.0f} MiB that a file of this size may take"
        )
    if "error" in last:
        kind, message = getattr(errors, last["error"], None), last["message"]
        if isinstance(kind, type) and issubclass(kind, DecafError):
            raise kind(message)
        raise WeightsError(f"{source}: could not be converted: {message}")


def _death(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"died of signal {-status} ({signal.Signals(-status).name})"
    return f"died of signal {-status}"


def _last_line(noise: IO[bytes]) -> str:
    """What the process said last, on one line of reasonable length."""
    size = noise.seek(0, os.SEEK_END)
    noise.seek(max(0, size - 4096))
    lines = noise.read().decode("utf-8", "replace").strip().splitlines() or [""]
    return _clean(lines[-1].strip(), SHOWN)


def _clean(text: str, length: int) -> str:
    """Return what no terminal obeys, of reasonable length; parts of names may be no Unicode."""
    shown = text if len(text) <= length else f"{text[:length]}..."
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?" for c in shown)
