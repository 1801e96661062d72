"""What the menu tells of the world: what is liked, what is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vrapp.adaptation.adaptation import Adaptation
from vrapp.app.menu_pages import MenuFacts
from vrapp.scene.store import SceneStore


def menu_facts(adaptation: Adaptation, store: SceneStore, categories: Sequence[str]) -> MenuFacts:
    """As of now. ``categories``: names by index."""
    seen = adaptation.summary()
    kept = Counter(store.category[store.kept].tolist())
    return MenuFacts(
        seen.policy,
        seen.observations,
        tuple((_readable(categories[row.category]), row.share) for row in seen.top),
        tuple((_readable(categories[category]), count) for category, count in kept.most_common()),
    )


def _readable(name: str) -> str:
    return name.replace("_", " ")
