"""Small valid files of every format, and some that were built to harm; all made here, in code.

Each format has a module: `valid` returns seeds, `hostile` returns files by a name that says what
is wrong with them.
"""

from __future__ import annotations

from fuzz.seeds import (
    caffe_h5,
    caffemodel,
    deep_compression,
    features,
    hdf5,
    index,
    means,
    npz,
    onnx,
    photos_list,
    photos_tar,
    photos_zip,
    prototxt,
    pth,
    safetensors,
    state_dict,
    weights,
)  # fmt: skip

__all__ = [
    "caffe_h5", "caffemodel", "deep_compression", "features", "hdf5", "index",
    "means", "npz", "onnx",
    "photos_list", "photos_tar", "photos_zip", "prototxt", "pth", "safetensors", "state_dict",
    "weights",
]  # fmt: skip
