"""Small shapes made by code, written as model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh


def coloured_box(extents: tuple[float, float, float], colour: tuple[float, float, float]) -> trimesh.Trimesh:
    """A box with a glTF material."""
    box = trimesh.creation.box(extents)
    material = trimesh.visual.material.PBRMaterial(
        baseColorFactor=[*(int(c * 255) for c in colour), 255], roughnessFactor=0.25, metallicFactor=0.5
    )
    box.visual = trimesh.visual.TextureVisuals(material=material)
    return box


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
