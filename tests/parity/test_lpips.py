"""LPIPS against the same in torch's layers, float32, on random weights read by the real loader."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rival_jax.metrics.lpips import LPIPS, Input, Net

from .checkpoints import randomise
from .comparison import nchw, relative

LIMIT = 1e-5


def vgg16() -> nn.Sequential:
    """Torchvision's `features` but for the last pooling."""
    layers, width = [], 3
    for level, (count, channels) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]):
        layers += [nn.MaxPool2d(2, 2)] if level else []
        for _ in range(count):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
    return nn.Sequential(*layers)


def alexnet() -> nn.Sequential:
    """Torchvision's `features` but for the last pooling."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


NETS = {
    "vgg": (vgg16, {3: 64, 8: 128, 15: 256, 22: 512, 29: 512}),
    "alex": (alexnet, {1: 64, 4: 192, 7: 384, 9: 256, 11: 256}),
}
"""A trunk, and the places and channels of its taps."""
STATISTICS = {"standard": ((0.5,) * 3, (0.5,) * 3), "aid": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


def column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 3, 1, 1)


class Reference(nn.Module):
    def __init__(self, net: Net):
        super().__init__()
        trunk, self.taps = NETS[net]
        self.features = trunk()
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in self.taps.values())

    def units(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """The taps' channels as unit vectors."""
        x, found = (pixels - column((-0.030, -0.088, -0.188))) / column((0.458, 0.448, 0.450)), []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.taps:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.heads, self.units(images), self.units(others), strict=True)
        return torch.stack([head((a - b) ** 2).mean((1, 2, 3)) for head, a, b in pairs]).sum(0)


@torch.no_grad()
@pytest.mark.parametrize("net", NETS)
def test_distances(net: Net, tmp_path: Path) -> None:
    """Of noise, and of a picture with itself and a little noise; files as torch writes them, today and before 2020."""
    model = Reference(net).eval()
    randomise(model, torch.Generator().manual_seed(0))
    for head in model.heads:
        head.weight.abs_()
    trunk = {f"features.{name}": x for name, x in model.features.state_dict().items()}
    torch.save(trunk | {"classifier.0.weight": torch.zeros(2)}, tmp_path / "trunk.pth")
    heads = {f"lin{place}.model.1.weight": head.weight for place, head in enumerate(model.heads)}
    torch.save(heads, tmp_path / "heads.pth", _use_new_zipfile_serialization=False)

    rng = np.random.default_rng(0)
    images, others = rng.integers(0, 256, (2, 3, 64, 80, 3), np.uint8)
    others[0] = np.clip(images[0] + rng.normal(0, 3, images[0].shape), 0, 255)
    conventions: tuple[Input, ...] = ("standard", "aid")
    for lpips_input in conventions:
        mean, std = map(column, STATISTICS[lpips_input])
        theirs = model(*((nchw(x).float() / 255 - mean) / std for x in (images, others)))
        ours = LPIPS.from_pretrained(tmp_path / "trunk.pth", tmp_path / "heads.pth", net, lpips_input)(images, others)
        error = max(relative(*pair) for pair in zip(ours, theirs, strict=True))
        print(f"\n{net} {lpips_input}: {error:.1e}")
        assert error <= LIMIT
