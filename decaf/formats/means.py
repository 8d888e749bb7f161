"""Mean images: what Caffe's networks subtract from a photo before they look at it.

Two kinds of file, told apart by how they begin:

``.binaryproto``
    one blob as in a ``.caffemodel``, 1,C,H,W, as ``compute_image_mean`` writes it
``.npy``
    an array as people save it in Python: C,H,W or 1,C,H,W, or C alone, the mean colour

The channels are in the order in which the network takes them, for most of Caffe's B, G, R.

Source: ``BlobProto`` in ``caffe.proto`` and ``compute_image_mean.cpp`` of
https://github.com/BVLC/caffe
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decaf.cursor import Buffer
from decaf.errors import WeightsError
from decaf.formats import npy
from decaf.formats.caffe_blobs import blob_array
from decaf.formats.caffe_schema import BLOB
from decaf.formats.protobuf import decode
from decaf.mean_image import LARGEST_SIDE

CHANNELS = (1, 3)  # grey or colour


def read(data: Buffer) -> NDArray[np.float32]:
    """Read a mean image, or a mean colour.

    Parameters
    ----------
    data : bytes or mmap
        The whole file.

    Returns
    -------
    ndarray
        C,H,W, for pixels from 0 to 255 as a rule; C,1,1 for a colour.  C is 1 or 3.  A read-only
        view of `data` where it lies there as aligned float32.

    Raises
    ------
    WeightsError
        If the file is damaged, or holds another shape, no floats, a side of more than 4096
        pixels, or a value that is not finite in float32.
    """
    array: NDArray[Any]
    if data[: len(npy.MAGIC)] == npy.MAGIC:
        array = npy.array(data)
        if array.ndim == 1:
            array = array[:, None, None]  # C,1,1
    else:
        array = blob_array(decode(data, BLOB), "the mean")
    if array.ndim == 4 and len(array) == 1:
        array = array[0]  # C,H,W
    fits = array.ndim == 3 and array.shape[0] in CHANNELS
    if not (fits and array.size and max(array.shape) <= LARGEST_SIDE):
        raise WeightsError(
            f"a mean must be C,H,W, or C alone in a .npy; expected C 1 or 3 and sides from 1 to "
            f"{LARGEST_SIDE:,}, got {array.shape!r:.100}"
        )
    if array.dtype.kind != "f":
        raise WeightsError(f"a mean must be floats; got {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN, too
        mean = np.require(array, np.float32, ("C", "A"))
    if not np.isfinite(mean).all():
        raise WeightsError("the values of a mean must be finite in float32; got some that are not")
    mean.flags.writeable = False
    return mean
