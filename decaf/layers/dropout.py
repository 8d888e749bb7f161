"""Dropout: while training, set values to zero at random; afterwards, do nothing.

    training    result = input * mask / (1 - p)     mask is 0 with probability p, else 1
    inference   result = input

A unit that cannot rely on its neighbours has to learn something useful by itself.  Dividing by
1 - p keeps the expected value of each result, so that inference needs no correction.

Shapes
    input, result   any, the same; in AlexNet N,4096

Options, with AlexNet's values
    p          probability of dropping a value; 0.5
    training   False here: decaf classifies, it does not train

Source
    Krizhevsky, Sutskever and Hinton, NIPS 2012, section 4.2; Srivastava et al., "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014, section 4.

Differences
    The papers drop without dividing, and multiply by 1 - p at inference instead.  Caffe and torch
    divide while training, as here: weights from either need nothing at inference.
    torchvision places dropout before fc6 and fc7, Caffe after them; at inference it is the same.

Cost
    None at inference.
"""

from __future__ import annotations

import numpy as np

from decaf.errors import ShapeError
from decaf.layers import _check
from decaf.layers._check import FloatArray


@np.errstate(over="ignore", invalid="ignore")
def dropout(
    input: FloatArray,
    p: float = 0.5,
    training: bool = False,
    *,
    rng: np.random.Generator | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Drop values at random while training; copy the input otherwise.

    Parameters
    ----------
    input : ndarray, any shape
    p : float
        Probability of dropping a value, from 0 to 1.
    training : bool
    rng : numpy.random.Generator
        Required while training, so that the caller decides what is repeatable.
    out : ndarray, shape and dtype of ``input``, optional
        Written and returned.  It may be ``input`` itself.

    Returns
    -------
    ndarray, shape and dtype of ``input``

    Raises
    ------
    ShapeError
        If ``p`` is no probability, ``rng`` is missing while training, or an array has the wrong
        type, dtype, shape or memory layout.

    Examples
    --------
    >>> dropout(np.ones(6), 0.5, True, rng=np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2.])
    """
    result = check_dropout(input, p, training, rng, out)
    if training and rng is not None:
        dropped = rng.random(input.shape) < p
        np.multiply(input, float(1 / (1 - p)) if p < 1 else 0.0, out=result)
        result[dropped] = 0
    else:
        np.copyto(result, input)
    return result


def check_dropout(
    input: FloatArray,
    p: float,
    training: bool,
    rng: np.random.Generator | None,
    out: FloatArray | None,
) -> FloatArray:
    """Check the arguments of ``dropout`` and its twin; return the array for the result."""
    _check.array("dropout", "input", input)
    _check.real("dropout", "p", p, 0, 1)
    if training and not isinstance(rng, np.random.Generator):
        raise ShapeError(
            "dropout: rng must be given while training; "
            f"expected a numpy.random.Generator, got {rng!r}"
        )
    return _check.output("dropout", out, input.shape, [input], in_place=True)
