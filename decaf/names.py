"""The other names that people know the layers by: the DeCAF paper's and its release's.

>>> from decaf.architectures import caffenet
>>> [layer_name(caffenet(), name) for name in ("relu6", "decaf6", "fc6_neuron_cudanet_out")]
['relu6', 'relu6', 'relu6']
>>> layer_name(caffenet(), "fc6_cudanet_out")  # before the ReLU, as in the release
'fc6'
"""

from __future__ import annotations

import re

from decaf.errors import ArchitectureError
from decaf.specs import Architecture

# What may be asked for -> the layer.  DeCAF5 to DeCAF7 are the features of the paper
# (Donahue et al. 2014, section 2); the others are the blobs of its release, as translated
# from cuda-convnet, where a ReLU is a "neuron" and LRN "rnorm".
ALIASES = (
    (r"decaf(5)", r"pool\1"),
    (r"decaf([67])", r"relu\1"),
    (r"(?:conv|fc)(\d)_neuron_cudanet_out", r"relu\1"),
    (r"rnorm(\d)_cudanet_out", r"norm\1"),
    (r"fc(\d)dropout_cudanet_out", r"drop\1"),
    (r"((?:conv|pool|fc)\d)_cudanet_out", r"\1"),
    (r"(prob)s_cudanet_out", r"\1"),
)


def layer_name(architecture: Architecture, name: str) -> str:
    """Return the name of the layer that ``name`` or an alias of it stands for.

    A layer of exactly that name wins over an alias.

    Raises
    ------
    ArchitectureError
        If there is no such layer; the message lists what there is.
    """
    if not isinstance(name, str):
        raise ArchitectureError(f"the name of a layer must be a str; got {name!r}")
    if name not in architecture.inputs:
        for pattern, layer in ALIASES:
            match = re.fullmatch(pattern, name)
            if match and match.expand(layer) in architecture.inputs:
                return match.expand(layer)
    return architecture.layer(name).name
