"""Dropout: the fast twin of ``decaf.layers.dropout``.

A trained network only copies, and a plan does not even do that.  Training draws its random
numbers from NumPy's generator, one for each value, and so gains nothing from a kernel.
"""

from decaf._kernels.concat import CopyStep

from decaf import layers
from decaf._kernels.arrays import single
from decaf.layers.dropout import check_dropout


def dropout(input, p=0.5, training=False, *, rng=None, out=None):
    """Twin of :func:`decaf.layers.dropout`, float32 only."""
    out = check_dropout(input, p, training, rng, out)
    input = single("dropout", input)
    if training:
        return layers.dropout(input, p, True, rng=rng, out=out)
    CopyStep(input.reshape(1, -1), out.reshape(1, -1), 0).run()
    return out
