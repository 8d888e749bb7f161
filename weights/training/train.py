"""Train decaf-mini on CIFAR-10 with PyTorch, on a CPU, in about an hour of two cores.

    python weights/training/train.py --data .../cifar10 --work build/training
    python weights/training/export.py --work build/training          # -> weights/decaf-mini.h5

The net is CaffeNet in miniature (``decaf.architectures.decaf_mini``): the same layer
names and kinds, 32x32 input, 10 classes.  Two things exist only while training:

* batch normalisation behind conv1 … fc7.  It is an affine map a channel once training is
  over, and ``export.py`` folds it into the weights and bias in front of it: the network
  that ships has none.
* augmentation: a random window of the 36x36 photo (scale, aspect, place), resampled to
  32x32; mirroring; brightness, contrast and saturation.

The run is seeded and restartable: every epoch draws from its own generator and ends with
an atomic checkpoint, so that a run that was killed ends with the same weights as one that
was not (on the same machine, with the same number of threads).
"""

from __future__ import annotations

import argparse
import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

CLASSES = ("airplane", "automobile", "bird", "cat", "deer",
           "dog", "frog", "horse", "ship", "truck")  # fmt: skip
# Mean and standard deviation of the training photos, RGB in [0, 1].
MEAN = (0.491, 0.482, 0.447)
STD = (0.247, 0.243, 0.262)
RESIZE, CROP = 36, 32  # as 256 and 227 in AlexNet: a crop is 8/9 of the photo
HELD_OUT = 100  # photos a class kept out of training, to watch it by


class LRN(nn.Module):
    """``decaf.layers.local_response_norm``; a sum of shifted slices trains faster than torch's."""

    def __init__(self, size: int = 5, alpha: float = 0.5, beta: float = 0.75) -> None:
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels, half = x.shape[1], self.size // 2
        squares = F.pad(x * x, (0, 0, 0, 0, half, half))
        total = sum(squares[:, i : i + channels] for i in range(self.size))
        return x * (1 + self.alpha / self.size * total) ** -self.beta


def make_net() -> nn.Sequential:
    """decaf-mini with batch normalisation, as an ``nn.Sequential`` under decaf's layer names."""
    net = nn.Sequential()

    def conv(i: int, c: int, o: int, kernel: int, groups: int = 1) -> None:
        net.add_module(f"conv{i}", nn.Conv2d(c, o, kernel, padding=kernel // 2, groups=groups))
        net.add_module(f"bn{i}", nn.BatchNorm2d(o))
        net.add_module(f"relu{i}", nn.ReLU())

    def pool(i: int) -> None:
        net.add_module(f"pool{i}", nn.MaxPool2d(3, 2, ceil_mode=True))

    conv(1, 3, 48, 5)
    pool(1)
    net.add_module("norm1", LRN())
    conv(2, 48, 128, 5, groups=2)
    pool(2)
    net.add_module("norm2", LRN())
    conv(3, 128, 192, 3)
    conv(4, 192, 192, 3, groups=2)
    conv(5, 192, 128, 3, groups=2)
    pool(5)
    net.add_module("flatten", nn.Flatten())
    for i, d, o in ((6, 128 * 4 * 4, 512), (7, 512, 256)):
        net.add_module(f"fc{i}", nn.Linear(d, o))
        net.add_module(f"bn{i}", nn.BatchNorm1d(o))
        net.add_module(f"relu{i}", nn.ReLU())
        net.add_module(f"drop{i}", nn.Dropout(0.5))
    net.add_module("fc8", nn.Linear(256, 10))
    return net


def read_photos(archive: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """All photos of an archive as uint8 N,3,36,36 and their classes."""
    images, labels = [], []
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if not name.endswith(".jpg"):
                continue
            photo = Image.open(io.BytesIO(files.read(name))).convert("RGB")
            images.append(np.asarray(photo.resize((RESIZE, RESIZE), Image.Resampling.BILINEAR)))
            labels.append(CLASSES.index(name.split("/")[-2]))
    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(pixels), torch.tensor(labels)


def augment(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random windows of a batch N,3,36,36 in [0, 1] -> N,3,32,32, mirrored, colours shaken."""
    n = len(x)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=rng)

    area, aspect = uniform(0.5, 1.0), torch.exp(uniform(-0.2, 0.2))
    width = (area.sqrt() * aspect.sqrt()).clamp(max=1)
    height = (area.sqrt() / aspect.sqrt()).clamp(max=1)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width * mirror, uniform(-1, 1) * (1 - width)
    theta[:, 1, 1], theta[:, 1, 2] = height, uniform(-1, 1) * (1 - height)
    grid = F.affine_grid(theta, [n, 3, CROP, CROP], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    brightness, contrast, saturation = (uniform(0.7, 1.3).view(n, 1, 1, 1) for _ in range(3))
    x = x * brightness
    x = (x - x.mean((1, 2, 3), keepdim=True)) * contrast + x.mean((1, 2, 3), keepdim=True)
    gray = x.mean(1, keepdim=True)
    return ((x - gray) * saturation + gray).clamp(0, 1)


def normalize(x: torch.Tensor) -> torch.Tensor:
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@torch.no_grad()
def accuracy(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of photos whose centre crop is classified rightly."""
    net.eval()
    edge = (RESIZE - CROP) // 2
    correct = 0
    for start in range(0, len(images), 500):
        x = images[start : start + 500, :, edge : edge + CROP, edge : edge + CROP]
        scores = net(normalize(x / 255).contiguous(memory_format=torch.channels_last))
        correct += int((scores.argmax(1) == labels[start : start + 500]).sum())
    return correct / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.zip")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and log go here")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=2014)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)

    images, labels = read_photos(args.data / "train.zip")
    watch = torch.cat([(labels == c).nonzero()[:HELD_OUT, 0] for c in range(10)])
    train = torch.ones(len(labels), dtype=torch.bool)
    train[watch] = False
    train = train.nonzero()[:, 0]

    net = make_net().to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": others}],
        lr=args.rate, momentum=0.9, nesterov=True,
    )  # fmt: skip
    steps = len(train) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.rate, total_steps=args.epochs * steps, pct_start=0.2,
        div_factor=20, final_div_factor=1000, cycle_momentum=False,
    )  # fmt: skip

    checkpoint, first = args.work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epoch"]

    for epoch in range(first, args.epochs):
        torch.manual_seed(args.seed + 1 + epoch)  # dropout
        rng = torch.Generator().manual_seed(args.seed + 1000 + epoch)  # order, augmentation
        order = train[torch.randperm(len(train), generator=rng)]
        net.train()
        started, total = time.time(), 0.0
        for step in range(steps):
            pick = order[step * args.batch : (step + 1) * args.batch]
            x = normalize(augment(images[pick] / 255, rng))
            with torch.autocast("cpu", torch.bfloat16):
                scores = net(x.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(scores.float(), labels[pick], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        held_out = accuracy(net, images[watch], labels[watch])
        line = (
            f"epoch {epoch + 1:3d}/{args.epochs}  rate {schedule.get_last_lr()[0]:.5f}  "
            f"loss {total / steps:.4f}  held out {held_out:.4f}  {time.time() - started:.0f} s"
        )
        print(line, flush=True)
        with open(args.work / "train.log", "a") as log:
            log.write(line + "\n")
        state = {
            "net": net.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(), "epoch": epoch + 1,
        }  # fmt: skip
        torch.save(state, checkpoint.with_suffix(".part"))
        os.replace(checkpoint.with_suffix(".part"), checkpoint)


if __name__ == "__main__":
    main()
