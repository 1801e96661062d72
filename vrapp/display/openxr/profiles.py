"""Which button of which controller does what: OpenXR 1.1, section 6.4 "Interaction Profile Paths".

Pure tables, so that they can be read beside the specification and tested without a runtime. The runtime
translates from the nearest of these to controllers that are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

LEFT_PATH, RIGHT_PATH = "/user/hand/left", "/user/hand/right"
HANDS = (LEFT_PATH, RIGHT_PATH)
EYES = "/user/eyes_ext"


class Kind(Enum):
    """Types of actions."""

    POSE = "pose"
    FLOAT = "float"
    VECTOR = "vector2f"
    BOOLEAN = "boolean"
    VIBRATION = "vibration"


class Action(NamedTuple):
    """One thing to do. ``title`` is shown to users who change bindings in their runtime."""

    name: str
    title: str
    kind: Kind


ACTIONS = (
    Action("grip", "Hand", Kind.POSE),
    Action("aim", "Pointer", Kind.POSE),
    Action("trigger", "Trigger", Kind.FLOAT),
    Action("squeeze", "Grab", Kind.FLOAT),
    Action("stick", "Walk and turn", Kind.VECTOR),
    Action("keep", "Keep", Kind.BOOLEAN),
    Action("dismiss", "Send away", Kind.BOOLEAN),
    Action("more", "More like this", Kind.BOOLEAN),
    Action("menu", "Menu", Kind.BOOLEAN),
    Action("haptic", "Vibration", Kind.VIBRATION),
)
GAZE = Action("gaze", "Eyes", Kind.POSE)


Components: TypeAlias = Mapping[str, tuple[str, ...]]  # action -> components of a controller's paths
_NONE: Components = MappingProxyType({})


class Profile(NamedTuple):
    """One kind of controller. ``extension`` has to be enabled for it (a version: core from there on)."""

    path: str
    both: Components
    left: Components = _NONE
    right: Components = _NONE
    extension: str = ""
    core_since: tuple[int, int] | None = (1, 0)

    def bindings(self) -> list[tuple[str, str]]:
        """All (action, full path) pairs."""
        pairs = []
        for hand, own in ((LEFT_PATH, self.left), (RIGHT_PATH, self.right)):
            for action, components in (*self.both.items(), *own.items()):
                pairs += [(action, f"{hand}/{component}") for component in components]
        return pairs

    def available(self, api_version: tuple[int, int], extensions: frozenset[str]) -> bool:
        """Whether the instance may name it."""
        core = self.core_since is not None and api_version >= self.core_since
        return core or self.extension in extensions


_POSES = {"grip": ("input/grip/pose",), "aim": ("input/aim/pose",)}
_HELD = {**_POSES, "haptic": ("output/haptic",)}
_STICK = {"stick": ("input/thumbstick",), "more": ("input/thumbstick/click",)}
_FACE_LEFT = {"keep": ("input/x/click",), "dismiss": ("input/y/click",)}
_FACE_RIGHT = {"keep": ("input/a/click",), "dismiss": ("input/b/click",)}

HAND_PROFILE = "/interaction_profiles/ext/hand_interaction_ext"

PROFILES = (
    Profile(
        "/interaction_profiles/khr/simple_controller",
        {**_HELD, "squeeze": ("input/select/click",), "menu": ("input/menu/click",)},
    ),
    Profile(
        "/interaction_profiles/oculus/touch_controller",
        {**_HELD, **_STICK, "trigger": ("input/trigger/value",), "squeeze": ("input/squeeze/value",)},
        left={**_FACE_LEFT, "menu": ("input/menu/click",)},
        right=_FACE_RIGHT,
    ),
    Profile(
        "/interaction_profiles/valve/index_controller",
        {
            **_HELD,
            **_STICK,
            **_FACE_RIGHT,
            "trigger": ("input/trigger/value",),
            "squeeze": ("input/squeeze/value",),
            "menu": ("input/trackpad/force",),  # there is no free menu button
        },
    ),
    Profile(
        "/interaction_profiles/htc/vive_controller",
        {
            **_HELD,
            "stick": ("input/trackpad",),
            "more": ("input/trackpad/click",),
            "trigger": ("input/trigger/value",),
            "squeeze": ("input/squeeze/click",),
        },
        left={"menu": ("input/menu/click",)},
        right={"keep": ("input/menu/click",)},
    ),
    Profile(
        "/interaction_profiles/microsoft/motion_controller",
        {
            **_HELD,
            **_STICK,
            "trigger": ("input/trigger/value",),
            "squeeze": ("input/squeeze/click",),
            "keep": ("input/trackpad/click",),
        },
        left={"menu": ("input/menu/click",)},
        right={"dismiss": ("input/menu/click",)},
    ),
    Profile(
        "/interaction_profiles/hp/mixed_reality_controller",
        {**_HELD, **_STICK, "trigger": ("input/trigger/value",), "squeeze": ("input/squeeze/value",)},
        left={**_FACE_LEFT, "menu": ("input/menu/click",)},
        right=_FACE_RIGHT,
        extension="XR_EXT_hp_mixed_reality_controller",
        core_since=(1, 1),
    ),
    Profile(
        HAND_PROFILE,
        {**_POSES, "trigger": ("input/pinch_ext/value",), "squeeze": ("input/grasp_ext/value",)},
        extension="XR_EXT_hand_interaction",
        core_since=None,
    ),
)

GAZE_PROFILE = "/interaction_profiles/ext/eye_gaze_interaction"
GAZE_BINDING = f"{EYES}/input/gaze_ext/pose"
