"""One fresh process: load a network from its file, classify a photo, print the answer.

    python benchmarks/peers_start.py decaf weights.h5 photo.png

``peers_processes.py`` starts it and takes the time.  Each engine loads the network from the format
that it loads fastest, and as its manual says; nothing that is not needed is imported.

Prints the index of the best class, then the most bytes that were resident at any time.  On Linux
these are read from ``/proc``: what ``getrusage`` and ``wait4`` report of a child is at least what
its parent held when it was started.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SIZE, CROP = 256, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STATUS = Path("/proc/self/status")


def main() -> None:
    name, model, photo = sys.argv[1:]
    print(PROGRAMS[name](model, photo), flush=True)
    print(peak_bytes(), flush=True)


def decaf(model: str, photo: str, **keywords: Any) -> int:
    from decaf.net import DecafNet

    return int(DecafNet(model, **keywords).classify(photo).argmax())


def compact(model: str, photo: str) -> int:
    return decaf(model, photo, precision="float16")


def pytorch(model: str, photo: str) -> int:
    import torch
    from torch.nn import functional as F

    p = torch.load(model, map_location="cpu", mmap=True, weights_only=True)
    with torch.inference_mode():
        x = torch.from_numpy(pixels(photo))
        for layer, stride, padding in (
            ("conv1", 4, 2),
            ("conv2", 1, 2),
            ("conv3", 1, 1),
            ("conv4", 1, 1),
            ("conv5", 1, 1),
        ):
            x = F.relu(F.conv2d(x, p[f"{layer}.weight"], p[f"{layer}.bias"], stride, padding))
            if layer in ("conv1", "conv2", "conv5"):
                x = F.max_pool2d(x, 3, 2)
        x = x.flatten(1)
        x = F.relu(F.linear(x, p["fc6.weight"], p["fc6.bias"]))
        x = F.relu(F.linear(x, p["fc7.weight"], p["fc7.bias"]))
        return int(F.linear(x, p["fc8.weight"], p["fc8.bias"]).argmax())


def onnxruntime(model: str, photo: str) -> int:
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"data": pixels(photo)})
    return int(scores.argmax())


def openvino(model: str, photo: str) -> int:
    import openvino as ov

    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(model, "CPU", options)
    return int(compiled(pixels(photo))[0].argmax())


def opencv(model: str, photo: str) -> int:
    import cv2
    import numpy as np

    net = cv2.dnn.readNetFromONNX(model)
    image = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
    scale = SIZE / min(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = ((side - CROP) // 2 for side in image.shape[:2])
    image = image[top : top + CROP, left : left + CROP] / np.float32(255)
    net.setInput(cv2.dnn.blobFromImage((image - np.float32(MEAN)) / np.float32(STD)))
    return int(net.forward().argmax())


def pixels(photo: str) -> Any:
    """What torchvision's recipe makes of a photo: 1,3,H,W float32."""
    import numpy as np
    from PIL import Image

    with Image.open(photo) as file:
        image = file.convert("RGB")
    width, height = image.size
    scale = SIZE / min(width, height)
    image = image.resize((int(width * scale), int(height * scale)), Image.Resampling.BILINEAR)
    left, top = ((side - CROP) // 2 for side in image.size)
    image = image.crop((left, top, left + CROP, top + CROP))
    values = (np.asarray(image, np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


def peak_bytes() -> int:
    if STATUS.exists():
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


PROGRAMS = {
    "decaf": decaf,
    "decaf compact": compact,
    "PyTorch": pytorch,
    "ONNX Runtime": onnxruntime,
    "OpenVINO": openvino,
    "OpenCV": opencv,
}

if __name__ == "__main__":
    main()
