"""The layers against outputs that Caffe itself wrote, one layer a file.

The options are those of the ``.prototxt`` beside each file, typed in by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import both_backends, layer
from tolerances import assert_close

LENGTH_DELIMITED = 2
FIXED_BYTES = {1: 8, 5: 4}  # wire type: bytes
# Field numbers of caffe.proto: (layers of the net, their blobs) in the new and the old form.
LAYER_AND_BLOBS = [(100, 7), (2, 6)]
BLOB_SHAPE, BLOB_DATA, SHAPE_DIM = 7, 5, 1


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    folder = shared_data / "caffe" / "layer-outputs"
    if not folder.is_dir():
        pytest.skip(f"Caffe's outputs are not there: {folder}")
    return folder


@pytest.fixture(scope="module")
def blob(folder: Path) -> np.ndarray:
    """The input of every layer here: 2,6,75,113."""
    return np.load(folder / "blob.npy")


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A protobuf integer (seven bits a byte, lowest first), and where the next item starts."""
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return value, at


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of those fields of a protobuf message that hold bytes; no others."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            _, at = varint(message, at)
        elif wire_type == LENGTH_DELIMITED:
            length, at = varint(message, at)
            yield number, message[at : at + length]
            at += length
        else:
            at += FIXED_BYTES[wire_type]


def numbered(message: bytes, number: int) -> list[bytes]:
    return [content for found, content in fields(message) if found == number]


def parameters(path: Path) -> list[np.ndarray]:
    """Weight and bias of the one layer in a .caffemodel."""
    net = path.read_bytes()
    blobs = [
        blob
        for layer_number, blobs_number in LAYER_AND_BLOBS
        for layer_message in numbered(net, layer_number)
        for blob in numbered(layer_message, blobs_number)
    ]
    arrays = []
    for message in blobs:
        (packed_shape,) = numbered(numbered(message, BLOB_SHAPE)[0], SHAPE_DIM)
        shape, at = [], 0
        while at < len(packed_shape):
            size, at = varint(packed_shape, at)
            shape.append(size)
        (data,) = numbered(message, BLOB_DATA)
        arrays.append(np.frombuffer(data, "<f4").astype(np.float32).reshape(shape))
    return arrays


@both_backends
def test_convolution(backend, folder, blob):
    weight, bias = parameters(folder / "layer_convolution.caffemodel")
    assert weight.shape == (12, 2, 4, 5)
    # group: 3, pad_h: 0, pad_w: 1, kernel_h: 4, kernel_w: 5, stride_h: 2, stride_w: 3
    got = layer("conv2d", backend)(blob, weight, bias, stride=(2, 3), padding=(0, 1), groups=3)
    assert_close("caffe", got, np.load(folder / "layer_convolution.npy"))


@both_backends
def test_inner_product(backend, folder, blob):
    weight, bias = parameters(folder / "layer_inner_product.caffemodel")
    # axis: 3, num_output: 2 - each row of pixels is an input of its own
    got = layer("linear", backend)(blob.reshape(-1, 113), weight.reshape(2, 113), bias)
    assert_close("caffe", got.reshape(2, 6, 75, 2), np.load(folder / "layer_inner_product.npy"))


@both_backends
def test_lrn_across_channels(backend, folder, blob):
    # norm_region: ACROSS_CHANNELS, local_size: 5, alpha: 1.1, beta: 0.75
    got = layer("local_response_norm", backend)(blob, 5, 1.1, 0.75)
    assert_close("caffe", got, np.load(folder / "layer_lrn_channels.npy"))


@both_backends
def test_lrn_within_channel(backend, folder, blob):
    # norm_region: WITHIN_CHANNEL, local_size: 5, alpha: 0.9, beta: 0.75
    got = layer("local_response_norm", backend)(blob, 5, 0.9, 0.75, region="within")
    assert_close("caffe", got, np.load(folder / "layer_lrn_spatial.npy"))


# pad_h: 2, pad_w: 1, kernel_h: 3, kernel_w: 5, stride_h: 2, stride_w: 1
POOLING = {"kernel_size": (3, 5), "stride": (2, 1), "padding": (2, 1), "ceil_mode": True}


@both_backends
def test_max_pooling(backend, folder, blob):
    got = layer("max_pool2d", backend)(blob, **POOLING)
    np.testing.assert_array_equal(got, np.load(folder / "layer_pooling_max.npy"))


@both_backends
def test_average_pooling(backend, folder, blob):
    got = layer("avg_pool2d", backend)(blob, **POOLING)
    want = np.load(folder / "layer_pooling_ave.npy")
    assert_close("caffe", got, want)
    with pytest.raises(AssertionError):  # the other way of counting is not Caffe's
        assert_close(
            "caffe", layer("avg_pool2d", backend)(blob, **POOLING, count_include_pad=False), want
        )


@both_backends
def test_softmax(backend, folder, blob):
    got = layer("softmax", backend)(blob)  # axis 1
    assert_close("caffe", got, np.load(folder / "layer_softmax.npy"))
