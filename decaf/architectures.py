"""The networks as data: tuples of specs, the output shape of one image beside each line.

Read :func:`caffenet` first: it is the network of the DeCAF paper.  The others differ in
few lines, and those lines are what the papers and programs of the time disagreed on.

    >>> caffenet().shapes["pool5"]
    (256, 6, 6)
    >>> import math
    >>> [sum(map(math.prod, net().parameter_shapes.values())) for net in (alexnet, caffenet)]
    [61100840, 60965224]
"""

from __future__ import annotations

from collections.abc import Callable

from decaf.specs import (
    LRN,
    AdaptiveAvgPool,
    Architecture,
    Concat,
    Conv,
    Dropout,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Softmax,
)


def caffenet(classes: int = 1000) -> Architecture:
    """Build CaffeNet, on which DeCAF rests (Donahue et al. 2014; Jia et al. 2014).

    AlexNet (Krizhevsky et al. 2012, section 3.5) with pooling *before* normalisation.
    Input 227x227, BGR minus the mean colour.
    """
    layers = (
        Conv("conv1", 96, 11, stride=4),                  # 96 x 55 x 55
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 96 x 27 x 27
        LRN("norm1", size=5, alpha=1e-4, beta=0.75),
        Conv("conv2", 256, 5, padding=2, groups=2),       # 256 x 27 x 27
        ReLU("relu2"),
        MaxPool("pool2", 3, stride=2, ceil_mode=True),    # 256 x 13 x 13
        LRN("norm2", size=5, alpha=1e-4, beta=0.75),
        Conv("conv3", 384, 3, padding=1),                 # 384 x 13 x 13
        ReLU("relu3"),
        Conv("conv4", 384, 3, padding=1, groups=2),       # 384 x 13 x 13
        ReLU("relu4"),
        Conv("conv5", 256, 3, padding=1, groups=2),       # 256 x 13 x 13
        ReLU("relu5"),
        MaxPool("pool5", 3, stride=2, ceil_mode=True),    # 256 x 6 x 6
        *_classifier(4096, 4096, classes),
    )  # fmt: skip
    return Architecture("caffenet", (3, 227, 227), layers)


def bvlc_alexnet(classes: int = 1000) -> Architecture:
    """Build BVLC's AlexNet: CaffeNet with normalisation before pooling, as in the paper."""
    layers = (
        Conv("conv1", 96, 11, stride=4),                  # 96 x 55 x 55
        ReLU("relu1"),
        LRN("norm1", size=5, alpha=1e-4, beta=0.75),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 96 x 27 x 27
        Conv("conv2", 256, 5, padding=2, groups=2),       # 256 x 27 x 27
        ReLU("relu2"),
        LRN("norm2", size=5, alpha=1e-4, beta=0.75),
        MaxPool("pool2", 3, stride=2, ceil_mode=True),    # 256 x 13 x 13
        *caffenet(classes).layers[8:],                    # from conv3 on the same
    )  # fmt: skip
    return Architecture("bvlc_alexnet", (3, 227, 227), layers)


def alexnet(classes: int = 1000) -> Architecture:
    """Build torchvision's AlexNet (Krizhevsky 2014, "One weird trick").

    One column, no groups, no normalisation, input 224x224 padded by 2.  torchvision
    averages pool5 to 6x6, which is the identity at this size, and puts the dropouts before
    fc6 and fc7, which are the identity too once training is over.
    """
    layers = (
        Conv("conv1", 64, 11, stride=4, padding=2),       # 64 x 55 x 55
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2),                    # 64 x 27 x 27
        Conv("conv2", 192, 5, padding=2),                 # 192 x 27 x 27
        ReLU("relu2"),
        MaxPool("pool2", 3, stride=2),                    # 192 x 13 x 13
        Conv("conv3", 384, 3, padding=1),                 # 384 x 13 x 13
        ReLU("relu3"),
        Conv("conv4", 256, 3, padding=1),                 # 256 x 13 x 13
        ReLU("relu4"),
        Conv("conv5", 256, 3, padding=1),                 # 256 x 13 x 13
        ReLU("relu5"),
        MaxPool("pool5", 3, stride=2),                    # 256 x 6 x 6
        *_classifier(4096, 4096, classes),
    )  # fmt: skip
    return Architecture("alexnet", (3, 224, 224), layers)


def decaf_mini(classes: int = 10) -> Architecture:
    """Build the network that ships inside the package: CaffeNet for 32x32 photos.

    The same kinds of layers under the same names.  Its input is scaled to unit variance
    and not 0..255, so LRN takes a larger alpha to have the same say.
    """
    layers = (
        Conv("conv1", 48, 5, padding=2),                  # 48 x 32 x 32
        ReLU("relu1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 48 x 16 x 16
        LRN("norm1", size=5, alpha=0.5, beta=0.75),
        Conv("conv2", 128, 5, padding=2, groups=2),       # 128 x 16 x 16
        ReLU("relu2"),
        MaxPool("pool2", 3, stride=2, ceil_mode=True),    # 128 x 8 x 8
        LRN("norm2", size=5, alpha=0.5, beta=0.75),
        Conv("conv3", 192, 3, padding=1),                 # 192 x 8 x 8
        ReLU("relu3"),
        Conv("conv4", 192, 3, padding=1, groups=2),       # 192 x 8 x 8
        ReLU("relu4"),
        Conv("conv5", 128, 3, padding=1, groups=2),       # 128 x 8 x 8
        ReLU("relu5"),
        MaxPool("pool5", 3, stride=2, ceil_mode=True),    # 128 x 4 x 4
        *_classifier(512, 256, classes),
    )  # fmt: skip
    return Architecture("decaf_mini", (3, 32, 32), layers)


def squeezenet1_0(classes: int = 1000) -> Architecture:
    """Build SqueezeNet 1.0 (Iandola et al. 2016): AlexNet's accuracy in 1.2 million parameters."""
    layers = (
        Conv("conv1", 96, 7, stride=2),                   # 96 x 111 x 111
        ReLU("relu_conv1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 96 x 55 x 55
        *_fire("fire2", "pool1", 16, 64),                 # 128 x 55 x 55
        *_fire("fire3", "fire2/concat", 16, 64),
        *_fire("fire4", "fire3/concat", 32, 128),         # 256 x 55 x 55
        MaxPool("pool4", 3, stride=2, ceil_mode=True),    # 256 x 27 x 27
        *_fire("fire5", "pool4", 32, 128),
        *_fire("fire6", "fire5/concat", 48, 192),         # 384 x 27 x 27
        *_fire("fire7", "fire6/concat", 48, 192),
        *_fire("fire8", "fire7/concat", 64, 256),         # 512 x 27 x 27
        MaxPool("pool8", 3, stride=2, ceil_mode=True),    # 512 x 13 x 13
        *_fire("fire9", "pool8", 64, 256),                # 512 x 13 x 13
        *_squeezenet_head(classes),
    )  # fmt: skip
    return Architecture("squeezenet1_0", (3, 227, 227), layers)


def squeezenet1_1(classes: int = 1000) -> Architecture:
    """Build SqueezeNet 1.1: 2.4 times less work than 1.0, by pooling earlier."""
    layers = (
        Conv("conv1", 64, 3, stride=2),                   # 64 x 113 x 113
        ReLU("relu_conv1"),
        MaxPool("pool1", 3, stride=2, ceil_mode=True),    # 64 x 56 x 56
        *_fire("fire2", "pool1", 16, 64),                 # 128 x 56 x 56
        *_fire("fire3", "fire2/concat", 16, 64),
        MaxPool("pool3", 3, stride=2, ceil_mode=True),    # 128 x 28 x 28
        *_fire("fire4", "pool3", 32, 128),                # 256 x 28 x 28
        *_fire("fire5", "fire4/concat", 32, 128),
        MaxPool("pool5", 3, stride=2, ceil_mode=True),    # 256 x 14 x 14
        *_fire("fire6", "pool5", 48, 192),                # 384 x 14 x 14
        *_fire("fire7", "fire6/concat", 48, 192),
        *_fire("fire8", "fire7/concat", 64, 256),         # 512 x 14 x 14
        *_fire("fire9", "fire8/concat", 64, 256),
        *_squeezenet_head(classes),
    )  # fmt: skip
    return Architecture("squeezenet1_1", (3, 227, 227), layers)


ARCHITECTURES: dict[str, Callable[[int], Architecture]] = {
    "alexnet": alexnet,
    "bvlc_alexnet": bvlc_alexnet,
    "caffenet": caffenet,
    "squeezenet1_0": squeezenet1_0,
    "squeezenet1_1": squeezenet1_1,
    "decaf_mini": decaf_mini,
}


def _classifier(fc6: int, fc7: int, classes: int) -> tuple[Layer, ...]:
    """Build the fully connected end that all the AlexNets share."""
    return (
        Linear("fc6", fc6),
        ReLU("relu6"),
        Dropout("drop6", 0.5),
        Linear("fc7", fc7),
        ReLU("relu7"),
        Dropout("drop7", 0.5),
        Linear("fc8", classes),
        Softmax("prob"),
    )


def _fire(name: str, source: str, squeeze: int, expand: int) -> tuple[Layer, ...]:
    """Build a Fire module: 1x1 squeezes the channels, 1x1 and 3x3 side by side expand them."""
    return (
        Conv(f"{name}/squeeze1x1", squeeze, 1, inputs=(source,)),
        ReLU(f"{name}/relu_squeeze1x1"),
        Conv(f"{name}/expand1x1", expand, 1, inputs=(f"{name}/relu_squeeze1x1",)),
        ReLU(f"{name}/relu_expand1x1"),
        Conv(f"{name}/expand3x3", expand, 3, padding=1, inputs=(f"{name}/relu_squeeze1x1",)),
        ReLU(f"{name}/relu_expand3x3"),
        Concat(f"{name}/concat", inputs=(f"{name}/relu_expand1x1", f"{name}/relu_expand3x3")),
    )


def _squeezenet_head(classes: int) -> tuple[Layer, ...]:
    """Build the end of SqueezeNet: a score map a class, averaged; no fully connected layer."""
    return (
        Dropout("drop9", 0.5),
        Conv("conv10", classes, 1),
        ReLU("relu_conv10"),
        AdaptiveAvgPool("pool10", 1),                     # classes x 1 x 1
        Softmax("prob"),
    )  # fmt: skip
