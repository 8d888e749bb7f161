"""What OpenCV 4's Caffe importer makes of a network: run in a process of its own.

OpenCV 5 has no such importer, and one process can hold one of the two::

    python opencv4.py net.prototxt net.caffemodel input.npy output.npy [layer]
"""

import sys

import cv2
import numpy as np

prototxt, model, source, destination, *layer = sys.argv[1:]
net = cv2.dnn.readNetFromCaffe(prototxt, model)
net.setInput(np.load(source))
np.save(destination, net.forward(*layer))
