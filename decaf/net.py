"""``DecafNet``: photos in, probabilities and features out.  The class that users meet.

    >>> net = DecafNet("weights.h5")                               # doctest: +SKIP
    >>> net.top_k(net.classify("cat.jpg"), k=1)                    # doctest: +SKIP
    [Prediction(index=3, label='cat', score=0.98)]
    >>> net.features(["cat.jpg", "dog.jpg"], layers="fc6").shape   # doctest: +SKIP
    (2, 4096)

This file only moves photos and results; what is computed, and how, is the business of
``decaf.plan``.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from decaf import threads as _threads
from decaf import zoo
from decaf.errors import ArchitectureError, ImageError, ShapeError, WeightsError
from decaf.image import MAX_PIXELS, Photo, Preprocessing, load_rgb
from decaf.names import layer_name
from decaf.ops import instructions
from decaf.photos import Named, Photos, each, is_single, numbered
from decaf.plan import Network
from decaf.plan_pool import PlanPool
from decaf.prepare import CROPS, cut, normalise
from decaf.report import Profile, StepTime, Summary, summarise
from decaf.specs import Architecture
from decaf.weights import default_weights, load_weights, sha256

Array: TypeAlias = NDArray[np.float32]
Names: TypeAlias = list[str] | tuple[str, ...]  # not Sequence[str], which a str is too


class Prediction(NamedTuple):
    """One class that a photo may show."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    label: str
    score: float


class DecafNet:
    """A network with its weights, labels and preprocessing, ready to be shown photos.

    One photo is a path, bytes, an open file, a ``PIL.Image``, or an array: uint8 or float in
    [0, 1], H,W or H,W,1 (grey), H,W,3 (RGB), H,W,4 (RGB and alpha).  Several are a list, a
    tuple, any other iterable of photos, or an array with N in front.  Photos are read a batch
    at a time, straight into the network, so an endless list needs no more memory than a short
    one; and what a photo gives is the same to the last bit in any batch, on any number of
    threads.

    One ``DecafNet`` may be used from several Python threads at once, and in forked children
    (with the backends ``"numpy"`` and ``"blas"`` not while another thread computes: BLAS does not
    survive that).
    Pickled or copied, it keeps the path of its weights, or their name in the zoo, and reads
    the file again.

    Parameters
    ----------
    weights : str or path, optional
        A weights file (``decaf.weights``), or the name of a network in the zoo, such as
        ``"alexnet"``, which is downloaded if it is not here (``decaf.zoo``).  By default the
        network inside the package.
    threads : int, optional
        Number of threads; by default as many as this process may use cores.
    backend : str
        ``"cython"``, ``"blas"``, ``"numpy"``, or ``"auto"`` for the best of them that is there.
    precision : {"float32", "float16"}
        How the weights of fully connected layers are kept.  float16 halves their memory and the
        time to read them, which for single photos is most of all time; arithmetic stays in
        float32.  A file with float32 weights is rounded when it is loaded.  Needs the compiled
        kernels.
    max_pixels : int
        Photos of more pixels are refused before they are decoded, with an ``ImageError``.

    Attributes
    ----------
    architecture : Architecture
        The layers.
    preprocessing : Preprocessing
        What is done to a photo before the first layer.
    labels : tuple of str
        Name of each class, in order.
    weights_path : str
        The file that the weights came from.
    backend : str
        ``"cython"``, ``"blas"`` or ``"numpy"``.
    precision : str
        As given.
    threads : int
        Number of threads in use.
    max_pixels : int
        As given.
    network, plans : Network, PlanPool
        For those who run plans on their own (``decaf.plan``): what they are made of, and those
        that wait for their next batch.

    Raises
    ------
    WeightsError
        If the file cannot be used, or not be fetched.
    ArchitectureError
        If the backend is not built or has no such precision, or a weight is too large for it.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        backend: str = "auto",
        precision: str = "float32",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not (weights is None or isinstance(weights, (str, os.PathLike))):
            raise WeightsError(f"weights must be a path or None; got {type(weights).__name__}")
        at_least_one("max_pixels", max_pixels)
        self._asked = {
            "weights": (
                weights if weights is None or zoo.is_name(weights) else os.path.abspath(weights)
            ),
            "threads": threads,
            "backend": backend,
            "precision": precision,
            "max_pixels": max_pixels,
        }
        self.max_pixels: int = max_pixels
        self.threads: int = _threads.resolve(threads)
        loaded = load_weights(
            default_weights() if weights is None else zoo.resolve(weights),
            widen=precision == "float32",
        )
        self.weights_path: str = os.fspath(loaded.path)
        self.architecture: Architecture = loaded.architecture
        self.preprocessing: Preprocessing = loaded.preprocessing
        self.labels: tuple[str, ...] = loaded.labels
        self.network = Network(loaded.architecture, loaded.parameters, backend, precision)
        self.backend: str = self.network.backend
        self.precision: str = precision
        self._file = loaded.data
        self.plans = PlanPool(self.network, self.threads)

    def __repr__(self) -> str:
        return (
            f"<DecafNet {self.architecture.name}: {self.architecture.classes} classes, "
            f"{self.weights_path!r}, backend {self.backend}, precision {self.precision}, "
            f"threads {self.threads}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self._asked

    def __setstate__(self, asked: dict[str, Any]) -> None:
        self.__init__(**asked)  # type: ignore[misc]

    def classify(self, images: Photos, *, oversample: bool = False, batch_size: int = 32) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        images : photo or iterable of photos
            See :class:`DecafNet`.
        oversample : bool
            Average the results of ten crops: the corners and the centre, and their mirror
            images.  Ten times the work, and usually a little more accurate.
        batch_size : int
            How many crops are computed at once (all crops of a photo together); decides
            memory and speed, never the result.

        Returns
        -------
        ndarray, float32
            (K,) for one photo, (N, K) for several: what the last layer gives.

        Raises
        ------
        ImageError
            If a photo cannot be used; the message says which.
        """
        last = self.architecture.layers[-1].name
        return self._features(images, (last,), oversample, batch_size)[last]

    def classify_each(
        self, images: Iterable[Photo], *, oversample: bool = False, batch_size: int = 32
    ) -> Iterator[Array | ImageError]:
        """Classify photo by photo; one that cannot be used does not stop the others.

        Parameters
        ----------
        images, oversample, batch_size
            As for :meth:`classify`.

        Yields
        ------
        ndarray or ImageError
            (K,) probabilities for each photo, in order, as soon as its batch is computed; for
            one that cannot be used the error instead.
        """
        last = self.architecture.layers[-1].name
        failed: dict[int, ImageError] = {}
        done = 0
        for block in self._blocks(each(images), (last,), oversample, batch_size, failed):
            for row in block[last]:
                yield failed.pop(done, row)
                done += 1

    @overload
    def features(
        self, images: Photos, layers: str = ..., *, oversample: bool = ..., batch_size: int = ...
    ) -> Array: ...
    @overload
    def features(
        self,
        images: Photos,
        layers: Names,
        *,
        oversample: bool = ...,
        batch_size: int = ...,
    ) -> dict[str, Array]: ...
    def features(
        self,
        images: Photos,
        layers: str | Names = "relu7",
        *,
        oversample: bool = False,
        batch_size: int = 32,
    ) -> Array | dict[str, Array]:
        """Return what layers inside the network make of photos, to build upon.

        Parameters
        ----------
        images, oversample, batch_size
            As for :meth:`classify`; ``oversample`` averages the features of the ten crops.
        layers : str, list or tuple of str
            One name, or several.  ``fc6`` is the value before the ReLU and ``relu6`` after.
            The paper's names (``decaf5`` to ``decaf7``) and those of its release
            (``fc6_neuron_cudanet_out``, …) are understood too; see ``decaf.names``.

        Returns
        -------
        ndarray or dict of ndarrays, float32
            (D,) for one photo, (N, D) for several, flattened in the order C,H,W.  For several
            layers a dict with the names as they were asked for.

        Raises
        ------
        ArchitectureError
            If there is no such layer; the message lists what there is.
        ImageError
            If a photo cannot be used; the message says which.
        """
        asked = self._resolve(layers)
        found = self._features(images, tuple(asked.values()), oversample, batch_size)
        if isinstance(layers, str):
            return found[asked[layers]]
        return _named(asked, found)

    def top_k(self, scores: ArrayLike, k: int = 5) -> list[Any]:
        """Return the most probable classes, best first.

        Parameters
        ----------
        scores : array
            (K,) or (N, K), as :meth:`classify` gives.
        k : int
            How many; at most K are returned.  Of equal scores the lower index comes first.

        Returns
        -------
        list of Prediction
            For (N, K) a list of lists.

        Raises
        ------
        ShapeError
            If there is not one score a class.
        """
        at_least_one("k", k)
        values = np.asarray(scores)
        classes = self.architecture.classes
        fits = values.ndim in (1, 2) and values.shape[-1] == classes
        if values.dtype.kind not in "fiu" or not fits:
            raise ShapeError(
                f"scores must be numbers, one a class; expected ({classes},) or (N, {classes}), "
                f"got {values.dtype} {values.shape}"
            )
        values = values.astype(np.float64)
        if values.ndim == 1:
            return self._best(values, k)
        return [self._best(row, k) for row in values]

    def preprocess(self, images: Photos) -> Array:
        """Return exactly what the first layer sees.

        Parameters
        ----------
        images : photo or iterable of photos
            See :class:`DecafNet`.

        Returns
        -------
        ndarray, float32
            (N, C, H, W); N is 1 for one photo.

        Raises
        ------
        ImageError
            If a photo cannot be used; the message says which.
        """
        shape = self.architecture.input_shape
        rows = [
            self._read(photo, np.empty((1, *shape), np.float32), name)
            for photo, name in numbered(images)
        ]
        return np.concatenate((np.empty((0, *shape), np.float32), *rows))

    @overload
    def forward(
        self, x: ArrayLike, layers: str | None = ..., *, batch_size: int = ...
    ) -> Array: ...
    @overload
    def forward(
        self, x: ArrayLike, layers: Names, *, batch_size: int = ...
    ) -> dict[str, Array]: ...
    def forward(
        self, x: ArrayLike, layers: str | Names | None = None, *, batch_size: int = 32
    ) -> Array | dict[str, Array]:
        """Run the layers on numbers that are already preprocessed.

        Parameters
        ----------
        x : array, float32 or float64
            (N, C, H, W), as :meth:`preprocess` gives; computed in float32.  A NaN or an
            infinity is allowed, and comes out as arithmetic has it.
        layers : str, list or tuple of str, optional
            Names as in :meth:`features`; by default the last layer.
        batch_size : int
            How many images are computed at once; decides memory and speed, never the result.

        Returns
        -------
        ndarray or dict of ndarrays, float32
            In the layer's own shape, (N, K) or (N, C, H, W).  For several layers a dict
            with the names as they were asked for.

        Raises
        ------
        ShapeError
            If ``x`` has another shape or dtype.
        ArchitectureError
            If there is no such layer; the message lists what there is.
        """
        at_least_one("batch_size", batch_size)
        values = np.asarray(x)
        shape = self.architecture.input_shape
        if values.dtype.kind != "f" or values.dtype.itemsize not in (4, 8):
            raise ShapeError(
                f"data: must be floats; expected float32 or float64, got {values.dtype}"
            )
        if values.ndim != 4 or values.shape[1:] != shape:
            raise ShapeError(
                "data: must be N,C,H,W as the network takes it; "
                f"expected (N, {', '.join(map(str, shape))}), got {values.shape}"
            )
        asked = self._resolve(self.architecture.layers[-1].name if layers is None else layers)
        names = self._in_order(asked.values())
        found = {
            name: np.empty((len(values), *self.architecture.shapes[name]), np.float32)
            for name in names
        }
        for start in range(0, len(values), batch_size):
            rows = slice(start, min(start + batch_size, len(values)))
            with self.plans.lend(rows.stop - rows.start, names) as plan:
                with np.errstate(over="ignore"):  # a float64 beyond float32 becomes an infinity
                    np.copyto(plan.input, values[rows], casting="same_kind")
                plan.run()
                for name in names:
                    found[name][rows] = plan.outputs[name]
        if layers is None or isinstance(layers, str):
            (only,) = found.values()
            return only
        return _named(asked, found)

    def summary(self) -> Summary:
        """Return layers, shapes, parameters, multiply-adds and bytes, as a table to print."""
        return summarise(self.architecture, self.network.bytes, self.backend, self.precision)

    def info(self) -> dict[str, Any]:
        """Return what decides the values that come out, to be kept beside them.

        Returns
        -------
        dict
            Plain values that JSON can hold: ``decaf`` and ``pillow``, the versions;
            ``architecture``, its name; ``weights_sha256`` of the file; ``preprocessing``;
            ``backend``, ``instructions`` (of the processor; None where BLAS decides) and
            ``precision``.  Equal values of the same photo come out where all of it is equal.
        """
        import PIL

        from decaf import __version__

        return {
            "decaf": __version__,
            "pillow": PIL.__version__,
            "architecture": self.architecture.name,
            "weights_sha256": sha256(self._file),
            "preprocessing": self.preprocessing.to_dict(),
            "backend": self.backend,
            "instructions": instructions(self.backend),
            "precision": self.precision,
        }

    def profile(self, images: Photos, repeat: int = 10) -> Profile:
        """Measure how long each step takes on these photos, as one batch.

        Parameters
        ----------
        images : photo or iterable of photos
            At least one; all of them are one batch.
        repeat : int
            How often each step is timed; the median counts.

        Returns
        -------
        Profile
            A table to print.

        Raises
        ------
        ImageError
            If a photo cannot be used, or there is none.
        """
        at_least_one("repeat", repeat)
        # Read what can be read only once, so that every repetition finds the same.
        batch = [
            (photo.read() if hasattr(photo, "read") else photo, name)
            for photo, name in numbered(images)
        ]
        if not batch:
            raise ImageError("profile must have a photo to measure with; got none")
        reading, steps = [], []
        with self.plans.lend(len(batch), (self.architecture.layers[-1].name,)) as plan:
            for _ in range(1 + repeat):
                start = time.perf_counter()
                for index, (photo, name) in enumerate(batch):
                    self._read(photo, plan.input[index : index + 1], name)
                reading.append(time.perf_counter() - start)
                steps.append(plan.time_steps())
            del reading[0], steps[0]  # the first run finds cold caches; it does not count
            times = [
                StepTime("preprocess", float(np.median(reading)), 0),
                *(
                    StepTime(step.name, float(np.median(seconds)), step.multiply_adds)
                    for step, seconds in zip(plan.steps, zip(*steps, strict=True), strict=True)
                ),
            ]
        return Profile(
            self.architecture.name, len(batch), repeat, self.threads, self.backend,
            self.precision, tuple(times),
        )  # fmt: skip

    def _features(
        self, images: Photos, layers: tuple[str, ...], oversample: bool, batch_size: int
    ) -> dict[str, Array]:
        """Return {layer: (D,) or (N, D)} for one photo or several."""
        blocks = list(self._blocks(numbered(images), layers, oversample, batch_size))
        if is_single(images):
            return {name: rows[0] for name, rows in blocks[0].items()}
        sizes = {name: math.prod(self.architecture.shapes[name]) for name in layers}
        return {
            name: np.concatenate([np.empty((0, D), np.float32), *(b[name] for b in blocks)])
            for name, D in sizes.items()
        }

    def _blocks(
        self,
        photos: Iterator[Named],
        layers: Iterable[str],
        oversample: bool,
        batch_size: int,
        failed: dict[int, ImageError] | None = None,
    ) -> Iterator[dict[str, Array]]:
        """Yield {layer: (n, D)} for n photos at a time, in arrays of their own.

        Photos that cannot be used are noted in ``failed`` under their number, and their rows
        mean nothing; without ``failed`` the first of them raises.
        """
        at_least_one("batch_size", batch_size)
        crops = CROPS if oversample else 1
        names = self._in_order(layers)
        done = 0
        while chunk := list(islice(photos, max(1, batch_size // crops))):
            with self.plans.lend(len(chunk) * crops, names) as plan:
                for index, (photo, name) in enumerate(chunk):
                    rows = plan.input[index * crops : (index + 1) * crops]
                    try:
                        self._read(photo, rows, name)
                    except ImageError as error:
                        if failed is None:
                            raise
                        failed[done + index] = error
                        rows[...] = 0
                plan.run()
                block = {name: mean_of_crops(plan.outputs[name], crops) for name in names}
            done += len(chunk)
            yield block

    def _read(self, photo: Photo, rows: Array, name: str) -> Array:
        """Read one photo, which errors call ``name``, into its rows: one, or one a crop."""
        rgb = load_rgb(photo, max_pixels=self.max_pixels, name=name)
        return normalise(
            cut(rgb, self.preprocessing, oversample=len(rows) == CROPS), self.preprocessing, rows
        )

    def _resolve(self, layers: str | Names) -> dict[str, str]:
        """Return {name as asked for: name of the layer}."""
        names = (layers,) if isinstance(layers, str) else layers
        if not isinstance(names, Iterable):
            raise ArchitectureError(f"layers must be a name or a list of names; got {layers!r}")
        return {name: layer_name(self.architecture, name) for name in names}

    def _in_order(self, layers: Iterable[str]) -> tuple[str, ...]:
        """Return each layer once, in order of execution, so that equal wishes share a plan."""
        wanted = set(layers)
        return tuple(name for name in self.architecture.inputs if name in wanted)

    def _best(self, scores: NDArray[np.float64], k: int) -> list[Prediction]:
        order = np.argsort(-scores, kind="stable")  # stable: of equal scores the lower index
        return [Prediction(int(i), self.labels[i], float(scores[i])) for i in order[:k]]


def mean_of_crops(rows: Array, crops: int) -> Array:
    """Average over the crops of each photo; (n * crops, ...) becomes (n, D)."""
    each = rows.reshape(len(rows) // crops, crops, math.prod(rows.shape[1:]))  # n, crops, D
    if crops == 1:
        return each[:, 0].copy()
    # Crop by crop in float64: NumPy's own mean may add in another order for another n or D.
    total = each[:, 0].astype(np.float64)
    for crop in range(1, crops):
        total += each[:, crop]
    return (total / crops).astype(np.float32)


def _named(asked: dict[str, str], found: dict[str, Array]) -> dict[str, Array]:
    """Return the results under the names as asked for; two names of one layer get a copy each."""
    first: dict[str, str] = {}
    for name, layer in asked.items():
        first.setdefault(layer, name)
    return {
        name: found[layer] if first[layer] == name else found[layer].copy()
        for name, layer in asked.items()
    }


def at_least_one(name: str, value: int) -> None:
    """Raise a ShapeError unless it is a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ShapeError(f"{name} must be a whole number; expected at least 1, got {value!r}")
