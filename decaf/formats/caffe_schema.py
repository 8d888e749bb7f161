"""What the numbers in Caffe's files mean: the fields of ``caffe.proto`` that decaf reads.

Field 100 of a net holds its layers in the form of 2015 and later (``layer``, types by name),
field 2 in that of 2014 (``layers``, types by number, called V1 here).  Names are those of the
text form (``.prototxt``), so that both arrive at the same messages.  All else - fillers,
learning rates, solvers - is of no use to a trained network, and passed over.

Source: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

from __future__ import annotations

from decaf.formats.protobuf import Enum, Schema

PHASE = Enum({0: "TRAIN", 1: "TEST"})
SHAPE: Schema = {1: ("dim", "int")}

# Weights, and mean images (``.binaryproto``): NetParameter.layer.blobs are of this kind.
BLOB: Schema = {
    1: ("num", "int"),
    2: ("channels", "int"),
    3: ("height", "int"),
    4: ("width", "int"),
    5: ("data", "floats"),
    7: ("shape", SHAPE),
    8: ("double_data", "doubles"),
}

RULE: Schema = {
    1: ("phase", PHASE),
    2: ("min_level", "int"),
    3: ("max_level", "int"),
    4: ("stage", "string"),
    5: ("not_stage", "string"),
}

TRANSFORM: Schema = {
    1: ("scale", "float"),
    3: ("crop_size", "int"),
    4: ("mean_file", "string"),
    5: ("mean_value", "float"),
    7: ("force_gray", "bool"),
}

# The data layers of the earliest nets held the transformation themselves.
DATA: Schema = {2: ("scale", "float"), 3: ("mean_file", "string"), 5: ("crop_size", "int")}
MEMORY_DATA: Schema = {2: ("channels", "int"), 3: ("height", "int"), 4: ("width", "int")}

CONCAT: Schema = {1: ("concat_dim", "int"), 2: ("axis", "int")}
CONVOLUTION: Schema = {
    1: ("num_output", "int"),
    2: ("bias_term", "bool"),
    3: ("pad", "int"),
    4: ("kernel_size", "int"),
    5: ("group", "int"),
    6: ("stride", "int"),
    9: ("pad_h", "int"),
    10: ("pad_w", "int"),
    11: ("kernel_h", "int"),
    12: ("kernel_w", "int"),
    13: ("stride_h", "int"),
    14: ("stride_w", "int"),
    16: ("axis", "int"),
    18: ("dilation", "int"),
}
# scale_train is of caffe-fast-rcnn and its kin; BVLC's Caffe has no field 2 here.
DROPOUT: Schema = {1: ("dropout_ratio", "float"), 2: ("scale_train", "bool")}
FLATTEN: Schema = {1: ("axis", "int"), 2: ("end_axis", "int")}
INNER_PRODUCT: Schema = {
    1: ("num_output", "int"),
    2: ("bias_term", "bool"),
    5: ("axis", "int"),
    6: ("transpose", "bool"),
}
INPUT: Schema = {1: ("shape", SHAPE)}
LRN: Schema = {
    1: ("local_size", "int"),
    2: ("alpha", "float"),
    3: ("beta", "float"),
    4: ("norm_region", Enum({0: "ACROSS_CHANNELS", 1: "WITHIN_CHANNEL"})),
    5: ("k", "float"),
}
POOLING: Schema = {
    1: ("pool", Enum({0: "MAX", 1: "AVE", 2: "STOCHASTIC"})),
    2: ("kernel_size", "int"),
    3: ("stride", "int"),
    4: ("pad", "int"),
    5: ("kernel_h", "int"),
    6: ("kernel_w", "int"),
    7: ("stride_h", "int"),
    8: ("stride_w", "int"),
    9: ("pad_h", "int"),
    10: ("pad_w", "int"),
    12: ("global_pooling", "bool"),
    13: ("round_mode", Enum({0: "CEIL", 1: "FLOOR"})),
}
RELU: Schema = {1: ("negative_slope", "float")}
SOFTMAX: Schema = {2: ("axis", "int")}

LAYER: Schema = {
    1: ("name", "string"),
    2: ("type", "string"),
    3: ("bottom", "string"),
    4: ("top", "string"),
    7: ("blobs", BLOB),
    8: ("include", RULE),
    9: ("exclude", RULE),
    100: ("transform_param", TRANSFORM),
    104: ("concat_param", CONCAT),
    106: ("convolution_param", CONVOLUTION),
    107: ("data_param", DATA),
    108: ("dropout_param", DROPOUT),
    115: ("image_data_param", DATA),
    117: ("inner_product_param", INNER_PRODUCT),
    118: ("lrn_param", LRN),
    119: ("memory_data_param", MEMORY_DATA),
    121: ("pooling_param", POOLING),
    123: ("relu_param", RELU),
    125: ("softmax_param", SOFTMAX),
    135: ("flatten_param", FLATTEN),
    143: ("input_param", INPUT),
}

V1_TYPE = Enum(
    {
        0: "NONE", 1: "ACCURACY", 2: "BNLL", 3: "CONCAT", 4: "CONVOLUTION", 5: "DATA",
        6: "DROPOUT", 7: "EUCLIDEAN_LOSS", 8: "FLATTEN", 9: "HDF5_DATA", 10: "HDF5_OUTPUT",
        11: "IM2COL", 12: "IMAGE_DATA", 13: "INFOGAIN_LOSS", 14: "INNER_PRODUCT", 15: "LRN",
        16: "MULTINOMIAL_LOGISTIC_LOSS", 17: "POOLING", 18: "RELU", 19: "SIGMOID",
        20: "SOFTMAX", 21: "SOFTMAX_LOSS", 22: "SPLIT", 23: "TANH", 24: "WINDOW_DATA",
        25: "ELTWISE", 26: "POWER", 27: "SIGMOID_CROSS_ENTROPY_LOSS", 28: "HINGE_LOSS",
        29: "MEMORY_DATA", 30: "ARGMAX", 31: "THRESHOLD", 32: "DUMMY_DATA", 33: "SLICE",
        34: "MVN", 35: "ABSVAL", 36: "SILENCE", 37: "CONTRASTIVE_LOSS", 38: "EXP",
        39: "DECONVOLUTION",
    }
)  # fmt: skip

V1_LAYER: Schema = {
    1: ("layer", {1: ("name", "string")}),  # the form of 2013, which Caffe called V0
    2: ("bottom", "string"),
    3: ("top", "string"),
    4: ("name", "string"),
    5: ("type", V1_TYPE),
    6: ("blobs", BLOB),
    9: ("concat_param", CONCAT),
    10: ("convolution_param", CONVOLUTION),
    11: ("data_param", DATA),
    12: ("dropout_param", DROPOUT),
    15: ("image_data_param", DATA),
    17: ("inner_product_param", INNER_PRODUCT),
    18: ("lrn_param", LRN),
    19: ("pooling_param", POOLING),
    22: ("memory_data_param", MEMORY_DATA),
    30: ("relu_param", RELU),
    32: ("include", RULE),
    33: ("exclude", RULE),
    36: ("transform_param", TRANSFORM),
    39: ("softmax_param", SOFTMAX),
}

NET: Schema = {
    1: ("name", "string"),
    2: ("layers", V1_LAYER),
    3: ("input", "string"),
    4: ("input_dim", "int"),
    8: ("input_shape", SHAPE),
    100: ("layer", LAYER),
}
