"""Weights of other programs become a weights file of decaf.

The source is read in a process of its own (:mod:`decaf.convert.parent`), with limits on memory
and time, so that whatever a file does to a library, the worst that comes of it is a
:class:`~decaf.errors.WeightsError`.  What that process wrote is checked by
:func:`decaf.weights.load_weights` before it gets the name of the target, in one step.

The provenance of the result says where it comes from::

    {
      "source": {"file": "alexnet.pth", "bytes": 244408911, "sha256": "7be5…", "format": "torch"},
      "options": {"dtype": "float32", "labels": {"file": "mine.txt", "sha256": "0d9a…"}},
      "converted by": "decaf 0.5.0",
      "date": "2026-01-31T12:00:00Z"
    }

A second conversion of the same bytes with the same options and the same decaf finds that there
and does nothing.  Options that say what would be found anyway are the same as none: the format,
and the labels of ImageNet for its thousand classes.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from decaf import __version__
from decaf.architectures import ARCHITECTURES
from decaf.convert.parent import run_child
from decaf.errors import WeightsError
from decaf.files import existing_file
from decaf.formats.detect import FORMATS
from decaf.labels import IMAGENET_CLASSES
from decaf.mean_image import MeanImage
from decaf.preprocessing import Preprocessing

if TYPE_CHECKING:
    from decaf.weights import Weights

PathLike: TypeAlias = str | os.PathLike[str]
Progress: TypeAlias = Callable[[str, int, int], None]

SUFFIXES = (".h5", ".hdf5")
DTYPES = ("float32", "float16")
RECIPES, LABELS = ("torchvision", "caffe"), ("imagenet",)
WITH_LABELS = ("onnx", "safetensors")  # formats that may hold labels of their own
CHUNK = 2**20  # bytes


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did.

    Attributes
    ----------
    path : Path
        The weights file.
    made : bool
        False where it was there already, from the same source with the same options.
    """

    path: Path
    made: bool


@dataclass(frozen=True)
class _Input:
    """A file as it was when it was hashed."""

    path: Path
    sha256: str
    state: os.stat_result

    def record(self) -> dict[str, Any]:
        name = self.path.name.encode(errors="backslashreplace").decode()  # it may be no Unicode
        return {"file": name, "sha256": self.sha256}


def convert(
    source: PathLike,
    target: PathLike,
    *,
    prototxt: PathLike | None = None,
    architecture: PathLike | None = None,
    mean: PathLike | None = None,
    preprocessing: PathLike | Preprocessing | None = None,
    labels: PathLike | None = None,
    format: str | None = None,
    dtype: str = "float32",
    progress: Progress | None = None,
    force: bool = False,
) -> Conversion:
    """Turn a weights file of torch, Caffe, ONNX, safetensors or NumPy into one of decaf.

    Parameters
    ----------
    source : path
        The file; :mod:`decaf.formats.detect` says how its format is found out.
    target : path
        The weights file to write, with the suffix ``.h5``; its folder must exist.
    prototxt : path, optional
        For Caffe: the layers.
    architecture : path, optional
        Name of one of decaf's architectures, or a JSON file that describes one
        (:mod:`decaf.serialize`), where the source does not say it.
    mean : path, optional
        ``.binaryproto`` or ``.npy``: what is subtracted from every photo, in place of the mean
        of the preprocessing.
    preprocessing, labels : path, optional
        See ``choose_recipe`` and ``choose_labels`` in :mod:`decaf.convert.recipes`.  The first may
        also be a :class:`~decaf.preprocessing.Preprocessing`.
    format : str, optional
        One of :data:`decaf.formats.detect.FORMATS`, in place of finding it out.
    dtype : {"float32", "float16"}
        How the parameters are stored.
    progress : callable, optional
        Called with ``("read" or "write", bytes done, bytes in all)``, now and then.
    force : bool
        Replace a target that is there, whatever it is, and even if it is up to date.

    Returns
    -------
    Conversion

    Raises
    ------
    WeightsError
        If the source cannot be used, something does not fit, the target exists and is not the
        same conversion, or the child process failed; what was there before is still there.
    ArchitectureError
        For a layer of a kind that decaf has not.
    """
    if dtype not in DTYPES:
        raise WeightsError(f"dtype must be float32 or float16; got {dtype!r:.50}")
    if format is not None and format not in FORMATS:
        raise WeightsError(f"format must be one of {', '.join(FORMATS)}; got {format!r:.50}")
    if isinstance(preprocessing, Preprocessing) and isinstance(preprocessing.mean, MeanImage):
        raise WeightsError("preprocessing must have no mean image; give it as mean, a file")
    source, target = _path("source", source), _path("target", target)
    if target.suffix.lower() not in SUFFIXES:
        expected = ", ".join(SUFFIXES)
        raise WeightsError(f"{target}: the target must end in {expected}; got {target.suffix!r}")
    if _exists(target) and _exists(source) and source.samefile(target):
        raise WeightsError(f"{target}: the target must be another file than the source")
    before = None if force else _existing(target)

    read = _hashed(source, progress)
    given: dict[str, tuple[PathLike | Preprocessing | None, Collection[str]]] = {
        "prototxt": (prototxt, ()),
        "architecture": (architecture, ARCHITECTURES),
        "mean": (mean, ()),
        "preprocessing": (preprocessing, RECIPES),
        "labels": (labels, LABELS),
    }
    files: dict[str, _Input] = {}
    request: dict[str, Any] = {"format": format, "dtype": dtype}
    for name, (value, words) in given.items():
        request[name] = value
        if isinstance(value, Preprocessing):
            request[name] = value.to_dict()
        elif value is not None and value not in words:
            files[name] = _hashed(_file(name, value, words))
            request[name] = os.fspath(value)
    options = {name: value for name, value in request.items() if value is not None}
    options.update({name: file.record() for name, file in files.items()})
    provenance = {
        "source": {**read.record(), "bytes": read.state.st_size},
        "options": options,
        "converted by": f"decaf {__version__}",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if before is not None:
        difference = _difference(before, provenance)
        if difference is None:
            return Conversion(target, made=False)
        raise WeightsError(
            f"{target}: must not exist, or be this conversion already; got a weights file "
            f"{difference}, which is kept (--force, or force=True, replaces it)"
        )
    request.update(source=os.fspath(source), provenance=provenance)
    return _replace(target, request, [read, *files.values()], progress)


def _replace(
    target: Path, request: dict[str, Any], inputs: list[_Input], progress: Progress | None
) -> Conversion:
    """Convert in a folder beside the target, check the result, and give it its name."""
    from decaf.weights import load_weights

    try:
        real = Path(os.path.realpath(target))  # where a symbolic link points
        folder = Path(tempfile.mkdtemp(prefix=".decaf-", suffix=".tmp", dir=real.parent))
    except (OSError, ValueError) as error:  # a NUL in the path
        raise WeightsError(f"{target}: must be a place to write to; got {_why(error)}") from error
    made = folder / real.name  # absolute, as `real` is
    try:
        request["target"] = str(made)
        size = sum(file.state.st_size for file in inputs)
        run_child(request, size, partial(progress, "write") if progress else None)
        for file in inputs:
            if _identity(_state(file.path)) != _identity(file.state):
                raise WeightsError(f"{file.path}: must not change while it is converted; it did")
        load_weights(made, widen=False)
        os.replace(made, real)
    except OSError as error:
        raise WeightsError(f"{target}: must be a place to write to; got {_why(error)}") from error
    except WeightsError as error:  # the user knows the target by another name
        raise WeightsError(str(error).replace(str(made), str(target))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Conversion(target, made=True)


def _why(error: Exception) -> str:
    """What went wrong, without the name of a temporary file."""
    return getattr(error, "strerror", None) or str(error)


def _path(name: str, value: PathLike) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise WeightsError(f"{name} must be a path; got {type(value).__name__}")
    return Path(value)


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):  # a NUL in the path
        return path.exists()
    return False


def _file(name: str, value: PathLike, words: Collection[str]) -> Path:
    """Return the path that an option names, which may also be one of a few words."""
    path = _path(name, value)
    if not _exists(path):
        expected = ", ".join([*words, "a file"])
        raise WeightsError(f"{path}: {name} must be {expected}; got no such file")
    return path


def _state(path: Path) -> os.stat_result:
    try:
        return existing_file(path).stat()
    except OSError as error:
        raise WeightsError(f"{path}: must be a readable file; got {error}") from error


def _identity(state: os.stat_result) -> tuple[int, ...]:
    # Anybody can set the time of the last change of contents back; that of the last change of
    # anything (on Windows, of the creation) is the system's.
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _hashed(path: Path, progress: Progress | None = None) -> _Input:
    """Hash a file, a chunk at a time: memory is for the conversion."""
    import hashlib

    state = _state(path)
    digest, done, chunk = hashlib.sha256(), 0, bytearray(CHUNK)
    try:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(chunk):
                digest.update(memoryview(chunk)[:size])
                done += size
                if progress:
                    progress("read", done, state.st_size)
    except OSError as error:
        raise WeightsError(f"{path}: must be a readable file; got {error}") from error
    return _Input(path, digest.hexdigest(), state)


def _existing(target: Path) -> Weights | None:
    """Return a target that is there; None where there is none."""
    from decaf.weights import load_weights

    if not _exists(target):  # also where a symbolic link points to nothing yet
        return None
    try:
        return load_weights(target, widen=False)
    except WeightsError as error:
        raise WeightsError(
            f"{target}: must not exist, or be a weights file of decaf; got something else, which "
            "is kept (--force, or force=True, replaces it)"
        ) from error


def _difference(before: Weights, now: Mapping[str, Any]) -> str | None:
    """In what a weights file differs from a conversion: ``"from another source"``, or None.

    Contents count, and not names.
    """
    then = before.provenance
    source = _dictionary(then.get("source"))
    if source.get("sha256") != now["source"]["sha256"]:
        return "from another source"
    thousand = len(before.labels) == IMAGENET_CLASSES and source.get("format") not in WITH_LABELS
    usual = {"labels": "imagenet"} if thousand else {}
    theirs = _what_counts(_dictionary(then.get("options")), usual)
    ours = _what_counts(now["options"], usual)
    names = sorted(n for n in theirs.keys() | ours.keys() if theirs.get(n) != ours.get(n))
    if names:
        return f"with other options ({', '.join(names)[:200]})"
    return None if then.get("converted by") == now["converted by"] else "by another decaf"


def _what_counts(options: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out names of files, and what says no more than would be found anyway."""
    return {
        name: {**value, "file": None} if isinstance(value, dict) else value
        for name, value in options.items()
        if name != "format" and (name not in usual or value != usual[name])
    }


def _dictionary(value: Any) -> dict[str, Any]:
    """Provenance may be anything, in files that decaf did not convert."""
    return value if isinstance(value, dict) else {}
