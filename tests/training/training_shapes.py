"""Small shapes made by code, written as model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import trimesh

from vrapp.training.shape_data import ShapeData


def coloured_box(extents: tuple[float, float, float], colour: tuple[float, float, float]) -> trimesh.Trimesh:
    """A box with a glTF material."""
    box = trimesh.creation.box(extents)
    material = trimesh.visual.material.PBRMaterial(
        baseColorFactor=[*(int(c * 255) for c in colour), 255], roughnessFactor=0.25, metallicFactor=0.5
    )
    box.visual = trimesh.visual.TextureVisuals(material=material)
    return box


def balls_and_blocks(sides: tuple[float, ...]) -> ShapeData:
    """Balls (category 0), then blocks, of these half sides in voxels, red and rough, as they are stored."""
    line = torch.arange(64) + 0.5 - 32
    x, y, z = line[:, None, None].abs(), line[None, :, None].abs(), line[None, None].abs()
    fields = [(x**2 + y**2 + z**2).sqrt() - side for side in sides]
    fields += [torch.maximum(torch.maximum(x, y), z) - side for side in sides]
    distance = torch.stack([(((field / 4).clamp(-1, 1) + 1) * 127.5).round() for field in fields])[:, None]
    mask = torch.nn.functional.avg_pool3d((distance < 255).float(), 2)  # cells with some surface, or inside
    look = mask * torch.tensor([0.8, 0.2, 0.1, 0.5, 0.0, 0.0, 1.0])[None, :, None, None, None]
    count = len(fields)
    return ShapeData(
        distance.to(torch.uint8), (look * 255).round().to(torch.uint8),
        2 * torch.tensor([*sides, *sides])[:, None].repeat(1, 3),
        (torch.arange(count) >= len(sides)).long(), ("ball", "block"), tuple(map(str, range(count))), np.arange(count),
    )  # fmt: skip


def write_folder(folder: Path, each: int = 6) -> None:
    """`each` boxes, balls and cones of varied sides in sub-folders named by kind."""
    rng = np.random.default_rng(0)
    for kind in ("box", "ball", "cone"):
        (folder / kind).mkdir(parents=True)
        for number in range(each):
            sides = 0.4 + rng.random(3)
            if kind == "box":
                mesh = coloured_box(tuple(sides), (0.8, 0.2, 0.1))
            elif kind == "ball":
                mesh = trimesh.creation.icosphere(2)
                mesh.apply_scale(sides)
            else:
                mesh = trimesh.creation.cone(sides[0], sides[1] * 2, sections=12)
            mesh.export(folder / kind / f"{kind}{number}.glb")
