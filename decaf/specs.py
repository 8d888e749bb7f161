"""A network, described: frozen dataclasses, one a layer.  Names and numbers, no arrays.

A spec knows what its layer makes of a shape, which parameters it needs and what it costs;
how the values are computed is the business of ``decaf.layers`` and ``decaf._kernels``.
Shapes here are those of one image, without N: ``(C, H, W)`` or ``(D,)``.

    >>> net = Architecture("two layers", (3, 8, 8), (
    ...     Conv("conv1", 4, 3, padding=1),                     # 4 x 8 x 8
    ...     MaxPool("pool1", 3, stride=2, ceil_mode=True),      # 4 x 4 x 4
    ... ))
    >>> net.shapes["pool1"]
    (4, 4, 4)
    >>> net.parameter_shapes
    {'conv1/weight': (4, 3, 3, 3), 'conv1/bias': (4,)}

A spec names its inputs; left out, its input is the layer before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from decaf.errors import ArchitectureError, ShapeError
from decaf.layers.shapes import conv_output_size, pool_output_size

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = int | tuple[int, int]

INPUT = "data"  # the name of the network's input, as in Caffe
LARGEST_OUTPUT = 2**24  # values that a layer may give for one image; AlexNet's most is 290,400
LARGEST_NUMBER = 2**20  # in a spec; the widest layer of AlexNet has 4,096 outputs


def pair(value: Pair) -> tuple[int, int]:
    """Return ``(3, 3)`` for ``3``; a pair (h, w) stays as it is."""
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True)
class Layer:
    """What every layer has: a name, and the names of the layers that it reads."""

    name: str
    inputs: tuple[str, ...] = field(default=(), kw_only=True)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of the result for inputs of these shapes, without N."""
        return inputs[0]

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Shapes of ``weight`` and ``bias``; empty for a layer without parameters."""
        return {}

    def multiply_adds(self, *inputs: Shape) -> int:
        """Multiplications (each with its addition) for one image; 0 where they do not count."""
        return 0

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and bool(self.name)
        self._need(named, "a layer must have a name; expected a string", self.name)
        listed = isinstance(self.inputs, tuple) and all(type(i) is str for i in self.inputs)
        self._need(listed, "inputs must be names; expected a tuple of strings", self.inputs)

    # The checks below run when a spec is made, so that a bad number is reported where it
    # was written and not where it is first used.

    def _need(self, holds: bool, rule: str, got: object) -> None:
        if not holds:
            raise ArchitectureError(f"{self.name or 'a layer'}: {rule}; got {got!r}")

    def _whole(self, *names: str, least: int = 1, pairs: bool = False) -> None:
        for name in names:
            value = getattr(self, name)
            values = value if pairs and isinstance(value, tuple) else (value,)
            self._need(
                len(values) == (2 if values is value else 1)
                and all(type(v) is int and least <= v <= LARGEST_NUMBER for v in values),
                f"{name} must be a whole number from {least} to {LARGEST_NUMBER}"
                + (" or a pair (h, w) of them" if pairs else ""),
                value,
            )

    def _image(self, *shapes: Shape) -> None:
        for shape in shapes:
            self._need(len(shape) == 3, "input must be C,H,W", shape)


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution; see ``decaf.layers.conv2d``."""

    out_channels: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Pair = 0
    dilation: Pair = 1
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("out_channels", "groups")
        self._whole("kernel_size", "stride", "dilation", pairs=True)
        self._whole("padding", least=0, pairs=True)
        self._need(
            self.out_channels % self.groups == 0,
            f"out_channels must be a multiple of groups; expected a multiple of {self.groups}",
            self.out_channels,
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        self._image(*inputs)
        c, *size = inputs[0]
        self._need(
            c % self.groups == 0,
            f"input channels must be a multiple of groups; expected a multiple of {self.groups}",
            c,
        )
        padded = tuple(s + 2 * p for s, p in zip(size, pair(self.padding), strict=True))
        self._need(
            c // self.groups * math.prod(padded) <= LARGEST_OUTPUT,
            "the padded input of a group must be of a size to compute with; "
            f"expected at most {LARGEST_OUTPUT:,} values an image",
            (c // self.groups, *padded),
        )
        oh, ow = (
            conv_output_size(s, k, stride, p, d)
            for s, k, stride, p, d in zip(
                size, pair(self.kernel_size), pair(self.stride),
                pair(self.padding), pair(self.dilation), strict=True,
            )
        )  # fmt: skip
        return self.out_channels, oh, ow

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        c = inputs[0][0]
        weight = (self.out_channels, c // self.groups, *pair(self.kernel_size))
        return {"weight": weight, "bias": (self.out_channels,)}

    def multiply_adds(self, *inputs: Shape) -> int:
        _, oh, ow = self.output_shape(*inputs)
        return math.prod(self.parameter_shapes(*inputs)["weight"]) * oh * ow


@dataclass(frozen=True)
class ReLU(Layer):
    """``max(x, 0)``; see ``decaf.layers.relu``."""


@dataclass(frozen=True)
class _Pool(Layer):
    """What max and average pooling share: the window and the rounding rule."""

    kernel_size: Pair
    stride: Pair
    padding: Pair = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("kernel_size", "stride", pairs=True)
        self._whole("padding", least=0, pairs=True)
        self._need(type(self.ceil_mode) is bool, "ceil_mode must be true or false", self.ceil_mode)

    def output_shape(self, *inputs: Shape) -> Shape:
        self._image(*inputs)
        c, *size = inputs[0]
        oh, ow = (
            pool_output_size(s, k, stride, p, self.ceil_mode)
            for s, k, stride, p in zip(
                size, pair(self.kernel_size), pair(self.stride), pair(self.padding), strict=True
            )
        )
        return c, oh, ow


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Largest value of each window; see ``decaf.layers.max_pool2d``."""


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Mean of each window; see ``decaf.layers.avg_pool2d``."""

    count_include_pad: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(
            type(self.count_include_pad) is bool,
            "count_include_pad must be true or false",
            self.count_include_pad,
        )


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """Mean over as many windows as outputs are wanted; see ``decaf.layers.adaptive_avg_pool2d``.

    ``AdaptiveAvgPool("pool10", 1)`` is Caffe's ``global_pooling``.
    """

    output_size: Pair

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("output_size", pairs=True)

    def output_shape(self, *inputs: Shape) -> Shape:
        self._image(*inputs)
        return inputs[0][0], *pair(self.output_size)


@dataclass(frozen=True)
class LRN(Layer):
    """Local response normalisation; see ``decaf.layers.local_response_norm``.

    ``alpha`` is divided by ``size``, as in Caffe and torch (not as in the paper).
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    region: str = "across"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("size")
        for name in ("alpha", "beta", "k"):
            value = getattr(self, name)
            finite = type(value) in (int, float) and math.isfinite(value)
            least = -math.inf if name == "beta" else 0  # as decaf.layers has it
            self._need(
                finite and value >= least,
                f"{name} must be a finite number, at least {least}",
                value,
            )
        known = self.region in ("across", "within")
        self._need(known, "region must be 'across' or 'within'", self.region)

    def output_shape(self, *inputs: Shape) -> Shape:
        self._image(*inputs)
        return inputs[0]


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected; see ``decaf.layers.linear``.  Takes C,H,W too, flattened in that order."""

    out_features: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("out_features")

    def output_shape(self, *inputs: Shape) -> Shape:
        return (self.out_features,)

    def parameter_shapes(self, *inputs: Shape) -> dict[str, Shape]:
        return {
            "weight": (self.out_features, math.prod(inputs[0])),
            "bias": (self.out_features,),
        }

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.out_features * math.prod(inputs[0])


@dataclass(frozen=True)
class Dropout(Layer):
    """The identity when a trained network answers; see ``decaf.layers.dropout``."""

    p: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        number = type(self.p) in (int, float) and 0 <= self.p < 1
        self._need(number, "p must be a number from 0 to below 1", self.p)


@dataclass(frozen=True)
class Softmax(Layer):
    """Scores to probabilities over the channels; see ``decaf.layers.softmax``."""


@dataclass(frozen=True)
class Flatten(Layer):
    """C,H,W to D = C * H * W."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return (math.prod(inputs[0]),)


@dataclass(frozen=True)
class Concat(Layer):
    """Channels of several layers, one after the other; see ``decaf.layers.concat``."""

    def output_shape(self, *inputs: Shape) -> Shape:
        first = inputs[0]
        for shape in inputs:
            self._need(
                shape[1:] == first[1:],
                f"inputs must agree in all but their channels; expected (*, {first[1:]})",
                shape,
            )
        channels = sum(shape[0] for shape in inputs)
        self._need(  # before the next layer: concats of concats grow like powers
            channels * math.prod(first[1:]) <= LARGEST_OUTPUT,
            f"output must be at most {LARGEST_OUTPUT:,} values an image",
            (channels, *first[1:]),
        )
        return channels, *first[1:]


@dataclass(frozen=True)
class Architecture:
    """A whole network: its name, the shape (C, H, W) that it takes, its layers in order.

    Raises
    ------
    ArchitectureError
        If a name stands twice, an input is unknown, or a layer cannot take its input; the
        message names the layer.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        size, layers = self.input_shape, self.layers
        if (
            not isinstance(size, tuple)
            or len(size) != 3
            or not all(type(s) is int and 0 < s <= LARGEST_NUMBER for s in size)
        ):
            raise ArchitectureError(
                f"{self.name}: input_shape must be C,H,W; expected three whole numbers, "
                f"got {size!r}"
            )
        if not isinstance(layers, tuple) or not all(isinstance(a, Layer) for a in layers):
            raise ArchitectureError(
                f"{self.name}: layers must be specs; expected a tuple of them, got {layers!r:.100}"
            )
        if not layers:
            raise ArchitectureError(
                f"{self.name}: a network must have layers; expected at least one, got none"
            )
        _ = self.shapes  # walks every layer, and so checks the whole

    @cached_property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """Which layers each layer reads, with the layer before filled in."""
        before = INPUT
        found: dict[str, tuple[str, ...]] = {}
        for layer in self.layers:
            if layer.name == INPUT or layer.name in found:
                raise ArchitectureError(
                    f"{layer.name}: layers must have different names, and none {INPUT!r}; "
                    "got this one twice"
                )
            found[layer.name] = layer.inputs or (before,)
            before = layer.name
        return found

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Output shape of every layer for one image, and of the input (``data``)."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for layer in self.layers:
            for name in self.inputs[layer.name]:
                if name not in shapes:
                    raise ArchitectureError(
                        f"{layer.name}: its inputs must be layers before it; got {name!r}"
                    )
            several = len(self.inputs[layer.name]) > 1
            if several and not isinstance(layer, Concat):
                raise ArchitectureError(f"{layer.name}: only Concat takes several inputs")
            try:
                shape = layer.output_shape(*(shapes[i] for i in self.inputs[layer.name]))
            except ShapeError as error:
                raise ArchitectureError(f"{layer.name}: {error}") from error
            if math.prod(shape) > LARGEST_OUTPUT:
                raise ArchitectureError(
                    f"{layer.name}: output must be at most {LARGEST_OUTPUT:,} values an image; "
                    f"got {shape}"
                )
            shapes[layer.name] = shape
        return shapes

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Shapes that ``layer`` of this network reads."""
        return tuple(self.shapes[name] for name in self.inputs[layer.name])

    @cached_property
    def parameter_shapes(self) -> dict[str, Shape]:
        """``{"conv1/weight": (O, C/G, KH, KW), "conv1/bias": (O,), …}``, in order of execution."""
        return {
            f"{layer.name}/{name}": shape
            for layer in self.layers
            for name, shape in layer.parameter_shapes(*self.input_shapes(layer)).items()
        }

    @property
    def classes(self) -> int:
        """How many values the last layer gives for one image."""
        return math.prod(self.shapes[self.layers[-1].name])

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises
        ------
        ArchitectureError
            If there is none; the message lists what there is.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = " ".join(layer.name for layer in self.layers)
        raise ArchitectureError(
            f"{self.name}: the layer must be one of the network; expected {known}; got {name!r}"
        )
