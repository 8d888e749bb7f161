"""Weights that other programs wrote, each format read without trusting a byte of it.

============================  ===========================================================
to read first                 then
============================  ===========================================================
``read``                      ``detect``: which format; ``model``: what comes out
``pth`` (torch)               ``pickles`` and ``pickle_names``, the machine that runs
                              nothing; ``pth_zip``, ``pth_legacy``, ``pth_tar``
``caffe``                     ``protobuf`` and ``prototxt``, bytes and text to the same
                              messages; ``caffe_schema``, their fields; ``caffe_topology``
                              and ``caffe_layers``, messages to layers; ``caffe_blobs``
``caffe_h5``, ``means``       of Caffe too
``deep_compression``
``onnx``                      ``onnx_schema``, ``onnx_graph``, ``onnx_node``; ``onnx_writer``
``safetensors``, ``npz``      ``npy``, ``zip``; ``bfloat16``; ``notes``, what decaf adds to
                              files of others
``state_dict``                which network these names and shapes are; ``known``
============================  ===========================================================

Every reader turns bytes into a :class:`~decaf.formats.model.Model`: an architecture, its
parameters under decaf's names, and whatever the file says of preprocessing.  None of them runs
what a file contains, imports by name, or falls back to the program that wrote it; what is
damaged or does not fit is a :class:`~decaf.errors.WeightsError` or, where a layer is of a kind
that decaf has not, an :class:`~decaf.errors.ArchitectureError`.
"""
