"""A tiny joint model of CG-Reasoner with random weights, saved as a run would leave it, and what to learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from tiny.vlm import BUILDERS

SMALL: dict[str, Any] = {
    "encoder": {
        "backbone": "plain",
        "widths": [8, 16],
        "blocks": [1, 1],
        "levels": 2,
        "channels": 16,
        "norm": "group",
    },
    "size": 32,
    "hidden_size": 16,
    "expansion": 1,
}


def tiny_network(language: Any, **more: Any) -> Any:
    """Build a joint model around a language model; ``more`` are options of its network."""
    import torch

    from fiducial.config import read
    from fiducial.reasoner.model import CGReasoner
    from fiducial.reasoner.model_configs import ReasonerNetworkConfig
    from fiducial.reasoner.text2centroid import CentroidHead

    torch.manual_seed(0)
    config = read(ReasonerNetworkConfig, {**SMALL, **more}, "tiny")
    return CGReasoner(language, config, CentroidHead(8))


def tiny_reasoner(folder: Path, family: str = "llava", **more: Any) -> Path:
    """Save the folder of a tiny joint model."""
    from fiducial.prompters.model_configs import VLMConfig
    from fiducial.prompters.vlm.loading import load
    from fiducial.reasoner.model import LANGUAGE, save_reasoner

    folder.mkdir(parents=True)
    BUILDERS[family](folder / LANGUAGE)
    loaded = load(VLMConfig(model=str(folder / LANGUAGE), device="cpu"))
    save_reasoner(tiny_network(loaded.model.requires_grad_(False), **more), folder, {"step": 3, "places": True})
    return folder


def scans(**more: Any) -> Any:
    """Describe the pictures of :func:`write_scans`, in the data folder, cut by patient."""
    from fiducial.training.cg_reasoner_configs import ReasonerSource

    about = {"held_out": 0.4, "group": "patient", "name": "scans", "subject": "tumour", "modality": "brain MRI"}
    return ReasonerSource("folder:DATA/scans?instruction=ask", **{**about, **more})


def write_scans(folder: Path) -> None:
    """Write pictures of eight patients, three each, the third of whom shows nothing."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    rows: list[Any] = []
    random = np.random.default_rng(2)
    for number in range(24):
        pixels, mask = np.full((24, 32, 3), 40, np.uint8), np.zeros((24, 32), np.uint8)
        if number % 3 < 2:
            x, y = int(random.integers(0, 22)), int(random.integers(0, 16))
            mask[y : y + 8, x : x + 10] = 255
            pixels[mask > 0] = 200
        PIL.Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        PIL.Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        rows.append({"image": f"{number}.png", "patient": f"p{number // 3}"})
    (folder / "manifest.json").write_text(json.dumps(rows))


def example(box: Any = None, answer: str = "", size: tuple[int, int] = (20, 20), **more: Any) -> Any:
    """Make an example of a black picture whose target is a box; none: there is no target."""
    from fiducial.geometry import Mask
    from fiducial.images import Image
    from fiducial.training.cg_reasoner_data import ReasonerExample

    height, width = size
    mask = Mask.empty(height, width) if box is None else Mask.from_box(box, height=height, width=width)
    image = Image(np.zeros((height, width, 3), np.uint8))
    return ReasonerExample("x", image, "Where?", answer, mask, **more)
