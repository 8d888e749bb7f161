"""Networks of Caffe as text, as they are deployed and as they are trained."""

from __future__ import annotations

from fuzz.mutate import Seed, Tokens

TEXT = b"""name: "tiny"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 7 dim: 6 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
  convolution_param { num_output: 4 pad: 1 kernel_h: 3 kernel_w: 2
    weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "fc2" type: "InnerProduct" bottom: "pool1" top: "fc2"
  inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }
"""  # ARCHITECTURE of network.py
TEXT_TRAINED = b"""# the same as it is trained, in the form of 2014, and with more kinds of layers
name: 'tiny' input: "data" input_dim: 1 input_dim: 3 input_dim: 7 input_dim: 6
layers { name: "cifar" type: DATA top: "data" top: "label" include: { phase: TRAIN }
  transform_param { scale: .00390625 mean_value: [104, 117, 0x7b] crop_size: 7 mirror: true } }
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1. blobs_lr: 2e0
  convolution_param < num_output: 4; pad: 1; kernel_h: 3; kernel_w: 2; group: 1 > }
layers { name: "norm1" type: LRN bottom: "conv1" top: "norm1"
  lrn_param { local_size: 3 alpha: 5e-05 beta: 0.75 norm_region: WITHIN_CHANNEL } }
layers { name: "split" type: SPLIT bottom: "norm1" top: "a" top: "b" }
layers { name: "relu1" type: RELU bottom: "a" top: "a" }
layers { name: "drop1" type: DROPOUT bottom: "b" top: "b" dropout_param { dropout_ratio: 0.5 } }
layers { name: "cat" type: CONCAT bottom: "a" bottom: "b" top: "cat" concat_param { axis: 1 } }
layers { name: "pool1" type: POOLING bottom: "cat" top: "pool1"
  pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layers { name: "flat" type: FLATTEN bottom: "pool1" top: "flat" }
layers { name: "fc2" type: INNER_PRODUCT bottom: "flat" top: "fc2"
  inner_product_param { num_output: 5 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc2" bottom: "label" top: "loss" }
"""


def valid() -> list[Seed]:
    return [Tokens(TEXT), Tokens(TEXT_TRAINED)]


def hostile() -> dict[str, bytes]:
    layer = b'layer { name: "r%d" type: "ReLU" bottom: "%s" top: "%s" }\n'
    head = TEXT[: TEXT.index(b"layer", 20)]
    conv = TEXT.replace(b"num_output: 4", b"num_output: %d")
    return {
        "messages inside messages": b"a {" * 60_000,
        "lists inside lists": b"a: " + b"[" * 100_000,
        "a string without end": b'name: "' + b"\\\\" * 100_000,
        "quotes": b'name: "" ' + b'""' * 100_000,
        "spaces": b"name: 'a'" + b" " * 200_000 + b"?",
        "comments": b"#\n" * 100_000,
        "a number of 100,000 digits": b"input_dim: " + b"9" * 100_000,
        "digits and a letter": b"input_dim: " + b"9" * 100_000 + b"x",
        "digits, a point, digits and a letter": b"a: " + (b"9" * 50_000 + b".") * 2 + b"x",
        "exponents": b"a: 1" + b"e1" * 100_000,
        "a float of 100,000 digits": b"input_dim: 1." + b"9" * 100_000 + b"x",
        "dots": b"input_dim: " + b"1." * 100_000,
        "minus signs": b"input_dim: " + b"-" * 100_000,
        "many fields": b"a:1 " * 60_000,
        "many layers in place": head + b"".join(
            layer % (i, b"data", b"data") for i in range(4000)
        ),
        "many layers in a row": head + b"".join(
            layer % (i, b"%d" % (i - 1) if i else b"data", b"%d" % i) for i in range(4000)
        ),
        "a concat of a thousand": head + b'layer { name: "c" type: "Concat" top: "c" '
        + b'bottom: "data" ' * 1000 + b"}",
        "concats of concats": head + b"".join(
            b'layer { name: "c%d" type: "Concat" top: "data" bottom: "data" bottom: "data" }\n' % i
            for i in range(100)
        ),
        "concats of concats that grow": head + b"".join(
            b'layer{name:"c%d" type:"Concat" bottom:["b","b","b","b"] top:"b"}\n' % i
            for i in range(7300)
        ).replace(b'"b"', b'"data"')
        + b'layer{name:"v" type:"Convolution" bottom:"data" top:"v" '
        + b"convolution_param{num_output:3 kernel_size:1 group:2}}",
        "a dropout that scales": TEXT.replace(
            b'"ReLU"', b'"Dropout" dropout_param { scale_train: false }'
        ),
        "many filters": conv % (2**31 - 1),
        "filters below zero": conv % -1,
        "filters of float32": TEXT.replace(b"num_output: 4", b"num_output: 4e300"),
        "a network of 10^12 weights": TEXT.replace(b"num_output: 5", b"num_output: 1048576")
        .replace(b"dim: 7 dim: 6", b"dim: 2047 dim: 2047"),
        "a name of surrogates": b'name: "\xed\xa0\x80"',
    }  # fmt: skip
