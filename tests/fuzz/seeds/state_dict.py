"""Names and shapes of the networks that are recognised, as JSON."""

from __future__ import annotations

import json

from fuzz.mutate import Json, Seed

from decaf.architectures import alexnet, squeezenet1_1
from decaf.formats.state_dict import torch_names


def valid() -> list[Seed]:
    made: list[Seed] = []
    for build, classes in ((alexnet, 1000), (squeezenet1_1, 10)):
        network = build(classes)
        names = torch_names(network)
        for naming in (names, {name: name for name in names}):  # torchvision's, decaf's
            shapes = {naming[name]: shape for name, shape in network.parameter_shapes.items()}
            made.append(Json(json.dumps(shapes).encode()))
    return made
