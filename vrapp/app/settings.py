"""How the user likes it, kept from one visit to the next: what they changed in the menu, in the config folder."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from vrapp.core import resources
from vrapp.core.comfort import MOVES, Comfort

log = logging.getLogger(__name__)

_FITS = {
    "seated": lambda v: isinstance(v, bool),
    "left_handed": lambda v: isinstance(v, bool),
    "eye_height_m": lambda v: _number(v, 0.5, 2.5),
    "turn_deg": lambda v: _number(v, 0.0, 90.0),
    "move": lambda v: v in MOVES,
    "vignette": lambda v: _number(v, 0.0, 1.0),
}


def path() -> Path:
    """The file; JSON, with fields of Comfort. Deleting it brings the defaults back."""
    return resources.config_folder() / "comfort.json"


def load() -> Comfort:
    """As it was left; what is missing or makes no sense there is as by default, and told."""
    try:
        kept = json.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return Comfort()
    except (OSError, ValueError) as e:
        log.warning("The settings in '%s' cannot be read (%s); the defaults are taken.", path(), e)
        return Comfort()
    kept = kept if isinstance(kept, dict) else {}
    sound = {f.name: kept[f.name] for f in fields(Comfort) if f.name in kept and _FITS[f.name](kept[f.name])}
    for name in kept.keys() - sound.keys():
        log.warning("'%s' in the settings '%s' makes no sense (%r); it is left out.", name, path(), kept[name])
    return Comfort(**sound)


def keep(before: Comfort, after: Comfort) -> None:
    """Remember what has changed. Where that cannot be written, the next visit is as this one began: told."""
    changed = {name: value for name, value in asdict(after).items() if value != getattr(before, name)}
    if not changed:
        return
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        fresh = path().with_suffix(".new")
        fresh.write_text(json.dumps(asdict(replace(load(), **changed)), indent=1), "utf-8")
        os.replace(fresh, path())
    except OSError as e:
        log.warning("The settings cannot be kept in '%s' (%s).", path(), e)


def _number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
