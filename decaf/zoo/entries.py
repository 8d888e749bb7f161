"""What the zoo has, as data: where each file lies, how it is known again, how it is read.

Each file is pinned by its size and its SHA-256, so it does not matter who sends it.

- ``alexnet``: the name of torchvision's file ends in the first eight digits of its hash.
- ``bvlc_alexnet``, ``caffenet``: OpenVINO's Open Model Zoo has the same sizes for both, and the
  same SHA-256 for the first; Homebrew and nixpkgs have the same SHA-256 for the second.
- ``squeezenet``: size and SHA-256 stand in Open Model Zoo's ``squeezenet1.1/model.yml``, beside
  those of a ``deploy.prototxt`` that were checked against a copy of that file.  A recipe of the
  Yocto project has the same SHA-256, and is where the second address comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes
    ----------
    name : str
        What it is asked for by.
    title : str
        What it is, in a few words.
    urls : tuple of str
        Where the file lies; tried in this order.
    size : int
        Bytes.
    sha256 : str
        In hexadecimal.
    architecture : str
        A name of :mod:`decaf.architectures`.
    preprocessing : {"torchvision", "caffe"}
        The recipe for photos.
    mean : tuple of float or None
        Mean colour in the order of the recipe's channels, where it is not the recipe's own.
    licence : str
        Of the weights; an SPDX identifier where there is one.
    top1, top5 : float
        Published accuracy on ImageNet's validation photos in per cent, one crop a photo.
    """

    name: str
    title: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    architecture: str
    preprocessing: str
    licence: str
    top1: float
    top5: float
    mean: tuple[float, float, float] | None = None

    @property
    def file(self) -> str:
        """Name of the file, as its first address has it."""
        return urlsplit(self.urls[0]).path.rpartition("/")[2]


ENTRIES = (
    Entry(
        name="alexnet",
        title="AlexNet, torchvision's",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        architecture="alexnet",
        preprocessing="torchvision",
        licence="BSD-3-Clause",
        top1=56.522,
        top5=79.066,
    ),
    Entry(
        name="bvlc_alexnet",
        title="AlexNet, Caffe's",
        urls=("http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",),
        size=243_862_414,
        sha256="4bff209a9837298157915ef50a4831a59636a6ca1a6b8ebacd990c3a5f3053e0",
        architecture="bvlc_alexnet",
        preprocessing="caffe",
        licence="unrestricted",
        top1=57.1,
        top5=80.2,
    ),
    Entry(
        name="caffenet",
        title="CaffeNet, Caffe's reference",
        urls=("http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",),
        size=243_862_418,
        sha256="472d4a06035497b180636d8a82667129960371375bd10fcb6df5c6c7631f25e0",
        architecture="caffenet",
        preprocessing="caffe",
        licence="unrestricted",
        top1=57.4,
        top5=80.4,
    ),
    Entry(
        name="squeezenet",
        title="SqueezeNet v1.1, its authors'",
        urls=(
            "https://github.com/forresti/SqueezeNet/raw/a47b6f13d30985279789d08053d37013d67d131b"
            "/SqueezeNet_v1.1/squeezenet_v1.1.caffemodel",
            "https://github.com/DeepScale/SqueezeNet/blob/master"
            "/SqueezeNet_v1.1/squeezenet_v1.1.caffemodel?raw=true",
        ),
        size=4_950_080,
        sha256="72b912ace512e8621f8ff168a7d72af55910d3c7c9445af8dfbff4c2ee960142",
        architecture="squeezenet1_1",
        preprocessing="caffe",
        mean=(104.0, 117.0, 123.0),  # as in the authors' train_val.prototxt
        licence="BSD-2-Clause",
        top1=58.38,  # as Open Model Zoo measured; the authors say "at least AlexNet's"
        top5=81.0,
    ),
)
ZOO = {entry.name: entry for entry in ENTRIES}
