"""The layers, as readable NumPy: pure functions, complete on their own, one file a layer.

The names and signatures are those of ``torch.nn.functional``.  All arrays are float32 or float64
and the result has the dtype of the input; images are N,C,H,W.  With ``out=`` the result is written
in place and returned; it must have exactly the right shape and dtype, be C-contiguous, and overlap
nothing that is read (relu, dropout and softmax may write over their input).  A NaN or an infinity
that goes in comes out as IEEE arithmetic has it, without a warning.  What does not fit raises
:class:`decaf.errors.ShapeError`.

Read them in this order: relu, linear, im2col, conv, pool, lrn, dropout, softmax, concat.
``decaf.ops`` picks the fast twins of the same names.
"""

from __future__ import annotations

from decaf.layers.concat import concat
from decaf.layers.conv import conv2d
from decaf.layers.dropout import dropout
from decaf.layers.im2col import im2col
from decaf.layers.linear import linear
from decaf.layers.lrn import local_response_norm
from decaf.layers.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from decaf.layers.relu import relu
from decaf.layers.softmax import softmax

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "concat",
    "conv2d",
    "dropout",
    "im2col",
    "linear",
    "local_response_norm",
    "max_pool2d",
    "relu",
    "softmax",
]
