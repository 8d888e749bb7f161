"""A weights file of decaf becomes one that other programs read: the way back of `convert`.

================  =========================================================================
suffix            what is written
================  =========================================================================
``.onnx``         the network as a graph, with float32 parameters; needs the package ``onnx``
``.safetensors``  parameters, under torch's names where torchvision has the network
``.npz``          parameters under decaf's names, and nothing else
================  =========================================================================

The first two also hold preprocessing and labels, as notes that decaf reads again; a mean image
is not among them.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from decaf.errors import ArchitectureError, WeightsError
from decaf.mean_image import MeanImage
from decaf.weights import Weights, load_weights

_log = logging.getLogger("decaf")

SUFFIXES = (".onnx", ".safetensors", ".npz")


def export(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, force: bool = False
) -> Path:
    """Write a weights file of decaf in the format that the suffix of `target` names.

    The logger ``decaf`` warns where a mean image is left behind.

    Parameters
    ----------
    source : path
        A weights file of decaf.
    target : path
        ``.onnx``, ``.safetensors`` or ``.npz``; the folder must exist.
    force : bool
        Replace a target that is there.

    Returns
    -------
    Path
        Of what was written.

    Raises
    ------
    WeightsError
        If the source cannot be used, the target exists or cannot be written.
    ArchitectureError
        For ONNX, if it has no operator that does what a layer does.
    """
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WeightsError(f"{path}: the target must end in {', '.join(SUFFIXES)}; got {suffix!r}")
    weights = load_weights(source, widen=False)
    if os.path.lexists(path) and not force:
        raise WeightsError(f"{path}: must not exist; it does, and is kept (force replaces it)")
    try:
        _write(path, suffix, weights)
    except (WeightsError, ArchitectureError) as error:
        raise type(error)(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    if isinstance(weights.preprocessing.mean, MeanImage):
        _log.warning(
            "%s: the mean image of %s is not carried; give the mean again to read this file",
            path,
            source,
        )
    return path


def _write(path: Path, suffix: str, weights: Weights) -> None:
    if suffix == ".npz":
        from decaf.formats import npz

        npz.write(path, weights.parameters)
        return
    if suffix == ".onnx":
        from decaf.formats.onnx_writer import write
    else:
        from decaf.formats.safetensors import write
    write(
        path,
        weights.architecture,
        weights.parameters,
        preprocessing=weights.preprocessing,
        labels=weights.labels,
        label_ids=weights.label_ids,
    )
