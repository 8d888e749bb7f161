"""Parameters as Caffe writes them in HDF5: data, the layer, the number of the blob."""

from __future__ import annotations

import io

import h5py
from fuzz.mutate import Raw, Seed
from fuzz.seeds.network import parameters


def valid() -> list[Seed]:
    """With the oldest structures of HDF5, and with the newest."""
    made: list[Seed] = []
    for options in ({}, {"libver": "latest"}):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", **options) as file:
            for name, array in parameters().items():
                layer, _, kind = name.partition("/")
                file.create_dataset(f"data/{layer}/{int(kind == 'bias')}", data=array)
            file.create_group("data/relu1")
        made.append(Raw(buffer.getvalue()))
    return made
