"""From named arrays to a network: which architecture do these keys and shapes belong to?

torch's state dictionaries, safetensors and ``.npz`` say what a parameter is called and no more.
Three ways of naming are known, each in full or not at all:

==============  ==========================  ================================================
naming          example                     where it is from
==============  ==========================  ================================================
torchvision     ``features.0.weight``       ``torchvision.models.alexnet``, ``squeezenet1_0``
                                            and ``squeezenet1_1``, with any number of classes
decaf           ``conv1.weight``,           Caffe's names of layers, with ``.`` or ``/``
                ``fire2/expand1x1/weight``
short           ``fire2.squeeze.weight``    private SqueezeNets: too little to go by, so read
                                            only for an architecture that the caller names
==============  ==========================  ================================================

Names and shapes do not tell CaffeNet from BVLC's AlexNet, which differ in the order of two
layers; nor do they tell what photos must be turned into.  torchvision's AlexNet has one recipe.
Its SqueezeNets have none here, because Caffe's weights (BGR, minus a mean, 227x227) are passed
around under the same names as torchvision's own (RGB, divided by 255 and a deviation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from decaf.architectures import ARCHITECTURES
from decaf.errors import WeightsError
from decaf.formats.model import Model, Tensors
from decaf.messages import names
from decaf.preprocessing import TORCHVISION_IMAGENET
from decaf.specs import Architecture

_FIRE_PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}


def _squeezenet(*positions: int) -> dict[str, str]:
    """Names of a SqueezeNet whose Fire modules 2 to 9 have these places among the features."""
    fires = {
        f"fire{fire}/{ours}": f"features.{position}.{theirs}"
        for fire, position in enumerate(positions, start=2)
        for ours, theirs in _FIRE_PARTS.items()
    }
    return {"conv1": "features.0", **fires, "conv10": "classifier.1"}


# torchvision names a layer by its place: architecture -> decaf's layer -> torchvision's.
TORCHVISION = {
    "alexnet": {
        "conv1": "features.0",
        "conv2": "features.3",
        "conv3": "features.6",
        "conv4": "features.8",
        "conv5": "features.10",
        "fc6": "classifier.1",
        "fc7": "classifier.4",
        "fc8": "classifier.6",
    },
    "squeezenet1_0": _squeezenet(3, 4, 5, 7, 8, 9, 10, 12),
    "squeezenet1_1": _squeezenet(3, 4, 6, 7, 9, 10, 11, 12),
}


@dataclass(frozen=True)
class _Match:
    """How far the tensors are those of an architecture, under one way of naming."""

    architecture: Architecture
    naming: str
    keys: dict[str, str]  # decaf's name of a parameter -> the file's
    missing: list[str]
    extra: list[str]
    misshapen: list[str]  # under decaf's names

    @property
    def perfect(self) -> bool:
        return not (self.missing or self.extra or self.misshapen)

    @property
    def right(self) -> int:
        """How many parameters are there and of the right shape."""
        return len(self.keys) - len(self.missing) - len(self.misshapen)


def recognise(tensors: Tensors, architecture: Architecture | None = None) -> Model:
    """Find the network that named arrays are the parameters of.

    Parameters
    ----------
    tensors : dict
        Arrays by the names that the file gives them.
    architecture : Architecture, optional
        What they must be the parameters of.  Without it, all of
        :data:`decaf.architectures.ARCHITECTURES` are tried, with as many classes as the last
        layer has.

    Returns
    -------
    Model
        Its parameters are the arrays of `tensors`.  It has a recipe of preprocessing if it is
        torchvision's AlexNet.

    Raises
    ------
    WeightsError
        If a parameter is missing, too many, of another shape or no float; if nothing fits, or
        more than one architecture does.
    """
    given = architecture is not None
    matches = list(_matches(tensors, architecture))
    perfect = [match for match in matches if match.perfect]
    if not perfect:
        best = max(matches, key=lambda match: (match.right, -len(match.missing)), default=None)
        if best is not None and (given or 2 * len(best.missing) < len(best.keys)):
            _refuse_mismatch(best, tensors)
        raise WeightsError(
            "the tensors must be those of a known architecture, under torchvision's names or "
            f"decaf's; expected one of {', '.join(ARCHITECTURES)}, got {names(tensors)}"
        )
    if len(perfect) > 1 and not given:
        these = " and ".join(match.architecture.name for match in perfect)
        raise WeightsError(
            "the architecture must follow from names and shapes; "
            f"{these} have the same: name the architecture that is meant"
        )
    match = perfect[0]
    if match.naming == "short" and not given:
        raise WeightsError(
            "the architecture must follow from names and shapes; the shapes are those of "
            f"{match.architecture.name}, but names such as {names(list(tensors)[2:3])} are not "
            "torchvision's, and strides or paddings may differ: name the architecture to vouch "
            "for it"
        )
    parameters = {name: tensors[key] for name, key in match.keys.items()}
    for name, array in parameters.items():
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise WeightsError(
                f"{match.keys[name]}: must be float16, float32 or float64; got {array.dtype}"
            )
    torchvision_alexnet = match.naming == "torchvision" and match.architecture.name == "alexnet"
    fits = match.architecture.input_shape == TORCHVISION_IMAGENET.input_shape
    recipe = TORCHVISION_IMAGENET if torchvision_alexnet and fits else None
    return Model(match.architecture, parameters, recipe)


def torch_names(architecture: Architecture) -> dict[str, str]:
    """What a state dictionary of torch calls the parameters of an architecture.

    Parameters
    ----------
    architecture : Architecture
        Any.

    Returns
    -------
    dict
        ``{"conv1/weight": "features.0.weight", …}`` for the networks that torchvision has, and
        ``{"conv1/weight": "conv1.weight", …}`` for others; always one key for each parameter.
    """
    namings = dict(_namings(architecture))
    return namings.get("torchvision", namings["layer.kind"])


def _namings(architecture: Architecture) -> Iterator[tuple[str, dict[str, str]]]:
    """Ways of naming the parameters: decaf's name -> key."""
    parts = {name: name.rpartition("/")[::2] for name in architecture.parameter_shapes}
    layers = TORCHVISION.get(architecture.name, {})
    if layers.keys() == {layer for layer, _ in parts.values()}:
        yield "torchvision", {n: f"{layers[layer]}.{kind}" for n, (layer, kind) in parts.items()}
    yield "layer.kind", {n: f"{layer}.{kind}" for n, (layer, kind) in parts.items()}
    yield "layer/kind", {n: n for n in parts}
    if any("/" in layer for layer, _ in parts.values()):
        dotted = {n: n.replace("/", ".") for n in parts}
        short = {n: key.replace(".squeeze1x1.", ".squeeze.") for n, key in dotted.items()}
        for naming, keys in (("dotted", dotted), ("short", short)):
            if len(set(keys.values())) == len(keys):  # not for layers "a.b" and "a/b"
                yield naming, keys


def _matches(tensors: Tensors, given: Architecture | None) -> Iterator[_Match]:
    """Compare the tensors with all that they may be."""
    candidates = [given] if given is not None else [make(1) for make in ARCHITECTURES.values()]
    for candidate in candidates:
        for naming, keys in _namings(candidate):
            architecture = candidate
            *_, last = keys.values()  # the bias of the layer that has an output a class
            if given is None and last in tensors and tensors[last].ndim == 1:
                architecture = ARCHITECTURES[candidate.name](tensors[last].shape[0])
            yield _match(tensors, architecture, naming, keys)


def _match(
    tensors: Tensors, architecture: Architecture, naming: str, keys: dict[str, str]
) -> _Match:
    known = set(keys.values())
    shapes = architecture.parameter_shapes
    return _Match(
        architecture,
        naming,
        keys,
        missing=[key for key in keys.values() if key not in tensors],
        extra=[key for key in tensors if key not in known],
        misshapen=[
            name
            for name, key in keys.items()
            if key in tensors and tensors[key].shape != shapes[name]
        ],
    )


def _refuse_mismatch(match: _Match, tensors: Tensors) -> NoReturn:
    """Say what keeps the tensors from being those of the architecture that comes closest."""
    name = match.architecture.name
    if match.missing or match.extra:
        missing, extra = names(match.missing), names(match.extra)
        hint = ""
        if match.missing and all(key.endswith("bias") for key in match.missing):
            hint = "; decaf's layers all have a bias, which may be 0"
        raise WeightsError(
            f"the tensors must be exactly those of {name}; "
            f"missing {missing or 'none'}, not known {extra or 'none'}{hint}"
        )
    wrong = match.misshapen[0]
    expected, got = match.architecture.parameter_shapes[wrong], tensors[match.keys[wrong]].shape
    more = f" (and {len(match.misshapen) - 1} more)" if len(match.misshapen) > 1 else ""
    raise WeightsError(
        f"{match.keys[wrong]}: must have the shape that {name} gives it; "
        f"expected {expected}, got {got}{more}"
    )
