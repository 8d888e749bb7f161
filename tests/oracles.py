"""The layers once more, as plain loops in float64: slow, obvious, and independent of decaf.

Nothing here is clever on purpose.  Pairs are always (h, w) here.  Sizes of results are found by
trying places one after another, not by a formula.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

Pair = tuple[int, int]


def window_starts(size: int, span: int, stride: int, padding: int) -> list[int]:
    """Where windows start that lie inside the padded input as a whole."""
    starts = []
    start = -padding
    while start + span <= size + padding:
        starts.append(start)
        start += stride
    return starts


def pool_starts(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> list[int]:
    """The same; ``ceil_mode`` adds one that sticks out, if any value is left and it sees some."""
    starts = window_starts(size, kernel, stride, padding)
    if ceil_mode:
        start = starts[-1] + stride if starts else -padding
        covered = starts[-1] + kernel if starts else -math.inf
        if covered < size + padding and start < size:
            starts.append(start)
    return starts


def pixel(image: np.ndarray, y: int, x: int) -> float:
    """A pixel of H,W; zero outside."""
    inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
    return float(image[y, x]) if inside else 0.0


def im2col(
    input: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    n, c, h, w = input.shape
    ys = window_starts(h, dilation[0] * (kernel[0] - 1) + 1, stride[0], padding[0])
    xs = window_starts(w, dilation[1] * (kernel[1] - 1) + 1, stride[1], padding[1])
    result = np.empty((n, c * kernel[0] * kernel[1], len(ys) * len(xs)))
    for image in range(n):
        taps = product(range(c), range(kernel[0]), range(kernel[1]))
        for row, (channel, ky, kx) in enumerate(taps):
            for place, (y, x) in enumerate(product(ys, xs)):
                result[image, row, place] = pixel(
                    input[image, channel], y + ky * dilation[0], x + kx * dilation[1]
                )
    return result


def conv2d(
    input: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    n, _, h, w = input.shape
    o, c_group, kh, kw = weight.shape
    ys = window_starts(h, dilation[0] * (kh - 1) + 1, stride[0], padding[0])
    xs = window_starts(w, dilation[1] * (kw - 1) + 1, stride[1], padding[1])
    result = np.zeros((n, o, len(ys), len(xs)))
    for image in range(n):
        for filter_ in range(o):
            first_channel = filter_ // (o // groups) * c_group
            for i, y in enumerate(ys):
                for j, x in enumerate(xs):
                    total = 0.0 if bias is None else float(bias[filter_])
                    for channel in range(c_group):
                        for ky in range(kh):
                            for kx in range(kw):
                                value = pixel(
                                    input[image, first_channel + channel],
                                    y + ky * dilation[0],
                                    x + kx * dilation[1],
                                )
                                total += value * float(weight[filter_, channel, ky, kx])
                    result[image, filter_, i, j] = total
    return result


def relu(input: np.ndarray) -> np.ndarray:
    return np.array([value if value > 0 else 0.0 for value in input.flat]).reshape(input.shape)


def max_pool2d(
    input: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool
) -> np.ndarray:
    n, c, h, w = input.shape
    ys = pool_starts(h, kernel[0], stride[0], padding[0], ceil_mode)
    xs = pool_starts(w, kernel[1], stride[1], padding[1], ceil_mode)
    result = np.empty((n, c, len(ys), len(xs)))
    for image, channel in product(range(n), range(c)):
        for (i, y), (j, x) in product(enumerate(ys), enumerate(xs)):
            best = -math.inf
            for row, column in product(range(y, y + kernel[0]), range(x, x + kernel[1])):
                if 0 <= row < h and 0 <= column < w:
                    best = max(best, float(input[image, channel, row, column]))
            result[image, channel, i, j] = best
    return result


def avg_pool2d(
    input: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    n, c, h, w = input.shape
    ys = pool_starts(h, kernel[0], stride[0], padding[0], ceil_mode)
    xs = pool_starts(w, kernel[1], stride[1], padding[1], ceil_mode)
    result = np.empty((n, c, len(ys), len(xs)))
    for image, channel in product(range(n), range(c)):
        for (i, y), (j, x) in product(enumerate(ys), enumerate(xs)):
            total, count = 0.0, 0
            for row, column in product(range(y, y + kernel[0]), range(x, x + kernel[1])):
                in_image = 0 <= row < h and 0 <= column < w
                in_padded = row < h + padding[0] and column < w + padding[1]
                if in_image:
                    total += float(input[image, channel, row, column])
                if in_image or (count_include_pad and in_padded):
                    count += 1
            result[image, channel, i, j] = total / count
    return result


def adaptive_avg_pool2d(input: np.ndarray, output_size: Pair) -> np.ndarray:
    n, c, h, w = input.shape
    oh, ow = output_size
    result = np.empty((n, c, oh, ow))
    for image, channel, i, j in product(range(n), range(c), range(oh), range(ow)):
        # Window i is [i*H/OH, (i+1)*H/OH), widened to whole pixels: those that it touches.
        rows = [y for y in range(h) if (y + 1) * oh > i * h and y * oh < (i + 1) * h]
        columns = [x for x in range(w) if (x + 1) * ow > j * w and x * ow < (j + 1) * w]
        values = [float(input[image, channel, y, x]) for y in rows for x in columns]
        result[image, channel, i, j] = sum(values) / len(values)
    return result


def local_response_norm(
    input: np.ndarray, size: int, alpha: float, beta: float, k: float, region: str
) -> np.ndarray:
    """N,C,H,W."""
    n, c, h, w = input.shape
    front, back = size // 2, (size - 1) // 2
    result = np.empty(input.shape)
    for image, channel, y, x in product(range(n), range(c), range(h), range(w)):
        if region == "across":
            near = [(z, y, x) for z in range(channel - front, channel + back + 1) if 0 <= z < c]
            members = size
        else:
            near = [
                (channel, row, column)
                for row in range(y - front, y + back + 1)
                for column in range(x - front, x + back + 1)
                if 0 <= row < h and 0 <= column < w
            ]
            members = size * size
        energy = sum(float(input[image][place]) ** 2 for place in near)
        value = float(input[image, channel, y, x])
        result[image, channel, y, x] = value / (k + alpha / members * energy) ** beta
    return result


def linear(input: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    result = np.empty((len(input), len(weight)))
    for n, o in product(range(len(input)), range(len(weight))):
        total = 0.0 if bias is None else float(bias[o])
        for d in range(input.shape[1]):
            total += float(weight[o, d]) * float(input[n, d])
        result[n, o] = total
    return result


def softmax(input: np.ndarray, dim: int) -> np.ndarray:
    result = np.empty(input.shape)
    others = [range(size) for axis, size in enumerate(input.shape) if axis != dim]
    for place in product(*others):
        line = (*place[:dim], slice(None), *place[dim:])
        scores = [float(score) for score in input[line]]
        powers = [math.exp(score - max(scores)) for score in scores]
        result[line] = [power / sum(powers) for power in powers]
    return result


def concat(inputs: list[np.ndarray], dim: int) -> np.ndarray:
    shape = list(inputs[0].shape)
    shape[dim] = sum(array.shape[dim] for array in inputs)
    result = np.empty(shape)
    filled = 0
    for array in inputs:
        for place in product(*(range(size) for size in array.shape)):
            target = list(place)
            target[dim] += filled
            result[tuple(target)] = array[place]
        filled += array.shape[dim]
    return result
