"""What runs in the process of its own in which :func:`decaf.convert.convert` reads a file.

It gets one line of JSON on stdin, the request, and answers with lines of JSON on stdout::

    {"done": 1048576, "of": 4941912}                    bytes of parameters written
    {"result": {"format": "torch"}}                     the end, or
    {"error": "WeightsError", "message": "..."}         the end, or
    {"memory": 268435456}                               the end: so much was not enough

Its stdin stays open as long as somebody waits for the answer; when it closes, the process
removes what it made and ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from decaf.errors import DecafError, WeightsError

MEGABYTE = 2**20
BARE = 64 * MEGABYTE  # private memory of this process before it reads, where the system is silent
WATCHER_STACK = 2**18  # bytes

Answer = Callable[..., None]


def main() -> None:
    """Answer one request, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    answer = _protect_stdout()
    request = json.loads(_read_line())
    _watch_stdin(Path(request["target"]).parent)
    # Before the limits, so that they leave out what every conversion needs.
    import h5py  # noqa: F401

    import decaf.formats.read
    import decaf.weights  # noqa: F401

    memory = _limit(**request["limits"])
    try:
        answer(result={"format": _convert(request, answer)})
    except DecafError as error:
        answer(error=type(error).__name__, message=str(error))
    except MemoryError:
        answer(memory=memory)
    except Exception as error:  # not foreseen; the parent says for which file
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        answer(error="", message=what[:1000])
    os._exit(0)  # nothing is left to do; the mappings need not be taken down


def _convert(request: dict[str, Any], answer: Answer) -> str:
    """Read the source, write the target, and return the format of the source."""
    from decaf.convert.recipes import choose_labels, choose_recipe, with_probabilities
    from decaf.formats.read import read_mean, read_with_notes
    from decaf.weights import save_weights

    source = request["source"]
    mean = None if request["mean"] is None else read_mean(request["mean"])
    shape = None if mean is None or mean.shape[1:] == (1, 1) else mean.shape
    found = read_with_notes(
        source,
        prototxt=request["prototxt"],
        architecture=request["architecture"],
        format=request["format"],
        input_shape=cast("tuple[int, int, int] | None", shape),  # that of the mean, if need be
    )
    model, notes = found.model, found.notes
    architecture = with_probabilities(model.architecture)
    try:
        recipe = choose_recipe(model, found.format, request["preprocessing"], mean)
        labels, ids = notes.labels, notes.label_ids
        classes = model.architecture.classes
        if request["labels"] is not None or labels is None or len(labels) != classes:
            labels, ids = choose_labels(classes, request["labels"])
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    provenance = request["provenance"]
    provenance["source"]["format"] = found.format
    save_weights(
        request["target"],
        architecture,
        _Counted(model.parameters, answer),
        recipe,
        labels,
        ids,
        provenance,
        dtype=request["dtype"],
    )
    return found.format


class _Counted(Mapping[str, NDArray[Any]]):
    """Parameters that tell how many bytes of them were asked for."""

    def __init__(self, parameters: Mapping[str, NDArray[Any]], answer: Answer) -> None:
        self.parameters, self.answer = parameters, answer
        self.total = sum(array.nbytes for array in parameters.values())
        self.asked_for: dict[str, int] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.answer(done=sum(self.asked_for.values()), of=self.total)
        array = self.parameters[name]
        self.asked_for[name] = array.nbytes
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)


def _protect_stdout() -> Answer:
    """Keep stdout for answers: what a library prints goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def answer(**values: Any) -> None:
        stream.write(f"{json.dumps(values)}\n")
        stream.flush()

    return answer


def _read_line() -> bytes:
    """Read from stdin without a buffer, which the watching thread would have to share."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, MEGABYTE)
        if not part:
            os._exit(1)
        line += part
    return line


def _watch_stdin(folder: Path) -> None:
    """End with the parent, also where that was killed; `folder` is what it would have removed."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    before = threading.stack_size(WATCHER_STACK)
    threading.Thread(target=watch, daemon=True).start()
    threading.stack_size(before)


def _limit(memory: int, output: int, seconds: int) -> int:
    """Set the limits that the system has; return that of memory with what is used already.

    Only private memory counts, neither the source, which is mapped, nor libraries.
    """
    memory += _private_memory()
    try:
        import resource
    except ImportError:  # Windows; the parent still looks at the clock
        return memory
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_DATA, memory),
    ):
        _, hard = resource.getrlimit(kind)
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        # The second limit of time kills; the first one says why.
        highest = hard if kind == resource.RLIMIT_CPU else lower
        with suppress(OSError, ValueError):  # a system that does not know this kind
            resource.setrlimit(kind, (lower, highest))
    return memory


def _private_memory() -> int:
    """Bytes of private memory that this process has now."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return BARE
