"""How large the result of a sliding window is: the only place with these formulas.

A window of ``kernel`` values, ``dilation`` apart, spans ``dilation * (kernel - 1) + 1`` values.
It starts at ``-padding`` and moves by ``stride``; each place where it fits gives one result.

- Convolution rounds down, in Caffe and torch alike: a window that sticks out is left away.
- Pooling rounds up in Caffe and, by default, down in torch (``ceil_mode``).  Rounding up keeps a
  last window that sticks out on the right, provided that it starts inside the input or its left
  padding: a window of padding alone has no maximum.  Caffe applies that proviso only where there
  is padding; without, and with ``stride > kernel``, it writes -FLT_MAX there.  We follow torch.

AlexNet, conv1 (torchvision: 224, kernel 11, stride 4, padding 2) and pool1 (kernel 3, stride 2):

    >>> conv_output_size(224, 11, 4, 2, 1)
    55
    >>> pool_output_size(55, 3, 2, 0, False)
    27

Where the two ways of rounding differ, in SqueezeNet 1.1:

    >>> pool_output_size(56, 3, 2, 0, False), pool_output_size(56, 3, 2, 0, True)
    (27, 28)

References: Caffe, ``base_conv_layer.cpp`` and ``pooling_layer.cpp``; torch, ``nn.Conv2d`` and
``nn.MaxPool2d``.
"""

from __future__ import annotations

from decaf.errors import ShapeError


def conv_output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, *, name: str = "conv2d"
) -> int:
    """Number of places that a convolution window takes along one axis of ``size`` pixels.

    Parameters
    ----------
    size, kernel, stride, padding, dilation : int
        Along one axis, in pixels.
    name : str
        What an error message begins with: the function or the layer.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ShapeError
        If the window does not fit into the padded input, or a number makes no sense.
    """
    _at_least(name, "size", size, 1)
    _at_least(name, "kernel", kernel, 1)
    _at_least(name, "stride", stride, 1)
    _at_least(name, "padding", padding, 0)
    _at_least(name, "dilation", dilation, 1)
    span = dilation * (kernel - 1) + 1
    _must_fit(name, span, size + 2 * padding)
    return (size + 2 * padding - span) // stride + 1


def pool_output_size(
    size: int, kernel: int, stride: int, padding: int, ceil_mode: bool, *, name: str = "pool2d"
) -> int:
    """Number of places that a pooling window takes along one axis of ``size`` pixels.

    Parameters
    ----------
    size, kernel, stride, padding : int
        Along one axis, in pixels.  ``padding`` must be less than ``kernel``, as in Caffe, so that
        every window holds a pixel (torch is stricter: at most half of ``kernel``).
    ceil_mode : bool
        Round up, as Caffe does, rather than down.
    name : str
        What an error message begins with: the function or the layer.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ShapeError
        If no window fits, or a number makes no sense.
    """
    _at_least(name, "size", size, 1)
    _at_least(name, "kernel", kernel, 1)
    _at_least(name, "stride", stride, 1)
    _at_least(name, "padding", padding, 0)
    if padding >= kernel:
        raise ShapeError(
            f"{name}: padding must be less than the kernel; "
            f"expected at most {kernel - 1}, got {padding}"
        )
    slack = stride - 1 if ceil_mode else 0  # how far the last window may stick out
    _must_fit(name, kernel, size + 2 * padding + slack)
    places = (size + 2 * padding - kernel + slack) // stride + 1
    last_start = (places - 1) * stride - padding
    return places - 1 if last_start >= size else places


def _at_least(name: str, argument: str, value: int, least: int) -> None:
    if value < least:
        raise ShapeError(f"{name}: {argument} must be at least {least}; got {value}")


def _must_fit(name: str, span: int, room: int) -> None:
    if span > room:
        raise ShapeError(
            f"{name}: the window must fit into the padded input; "
            f"expected a span of at most {room}, got {span}"
        )
