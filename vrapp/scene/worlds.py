"""World files (``assets/worlds/NAME.toml``): the designed composition that a user finds at the start."""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrapp.core import resources, rng
from vrapp.core.errors import InputFileError, UsageError

_KEY_CHOICE = 0x57


@dataclass(frozen=True)
class Spot:
    """Where one object of the start set belongs.

    ``x``, ``z`` world metres; ``turn_rad`` about +Y, None: the layout chooses; ``size`` 0…1 in the
    category's range, None: drawn; ``up_m`` height of the lowest point, None: by category; ``on``: index
    of the spot whose object it lies on, or -1.
    """

    category: str
    x: float
    z: float
    turn_rad: float | None = None
    size: float | None = None
    up_m: float | None = None
    on: int = -1


@dataclass(frozen=True)
class World:
    """A named composition: the spots in the order in which they are filled, a base before what lies on it."""

    name: str
    label: str
    spots: tuple[Spot, ...]


def world_names() -> list[str]:
    """The worlds that come with the program."""
    return sorted(p.stem for p in (resources.assets() / "worlds").glob("*.toml"))


def load_world(name: str, seed: int) -> World:
    """The world ``name``, or the world file at the path ``name``; ``seed`` draws where an item offers a choice.

    Raises UsageError for an unknown name, InputFileError for a file that is not a world.
    """
    path = Path(name) if name.endswith(".toml") else resources.assets() / "worlds" / f"{name}.toml"
    if not path.is_file() and not name.endswith(".toml"):
        known = world_names()
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}."
        raise UsageError(f"There is no world '{name}'; {hint}")
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        return World(path.stem, str(table["label"]), tuple(_spots(table["cluster"], seed)))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise InputFileError(f"The world file {path} cannot be read ({e}).") from e
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
        raise InputFileError(f"The world file {path} lacks or has a wrong field: {e!r}; see meadow.toml.") from e


def _spots(clusters: list[dict[str, Any]], seed: int) -> list[Spot]:
    spots: list[Spot] = []
    for cluster in clusters:
        (cx, cz), turn = cluster["at"], math.radians(cluster.get("turn", 0.0))
        base, base_turn = -1, turn
        for item in cluster["items"]:
            of = item["of"]
            if not isinstance(of, str):
                of = of[int(rng.generator(seed, _KEY_CHOICE, len(spots)).integers(len(of)))]
            lies_on = bool(item.get("on", False))
            if lies_on and base < 0:
                raise ValueError(f"'{of}' lies on nothing: an item on the ground has to come before it")
            angle = base_turn if lies_on else turn
            x, z = _turned(item["at"], angle)
            x, z = (x + spots[base].x, z + spots[base].z) if lies_on else (x + cx, z + cz)
            own = math.radians(item["turn"]) + angle if "turn" in item else None
            size, up = _number(item, "size", 1.0), _number(item, "up", 100.0)
            spots.append(Spot(of, float(x), float(z), own, size, up, base if lies_on else -1))
            if not lies_on and "up" not in item:
                base, base_turn = len(spots) - 1, turn if own is None else own
    return spots


def _turned(at: list[float], angle: float) -> tuple[float, float]:
    """(x, z) turned about +Y."""
    x, z = at
    return math.cos(angle) * x + math.sin(angle) * z, -math.sin(angle) * x + math.cos(angle) * z


def _number(item: dict[str, Any], key: str, most: float) -> float | None:
    if key not in item:
        return None
    value = float(item[key])
    if not 0 <= value <= most:
        raise ValueError(f"{key} = {value} of '{item['of']}' is not between 0 and {most:g}")
    return value
