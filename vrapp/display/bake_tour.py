"""Makes ``assets/tour.mcap`` out of a motion-capture clip of somebody playing in VR.

    python -m vrapp.display.bake_tour FUBOT_VR/spacepiratetrainer_1.npz assets/tour.mcap --start 127.2 --seconds 10

The clip (FuBoT-VR, MIT) has joints but no controllers: head and hands are placed on the skeleton, and
the grip is closed while an arm is stretched out, as the game's player would have.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vrapp.core import maths
from vrapp.core.input import INPUT_DTYPE, Button, HandState, InputSnapshot, SourceKind, Valid, pack_snapshot
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.trace_file import Records, write_recording

RATE_HZ = 30  # of the data set
#: The clips face +Z with +X to the left; OpenXR faces -Z: half a turn about +Y.
_OPENXR_FROM_CLIP = maths.vec3(0, 1, 0), np.pi
_EYES_FROM_HEAD_M = maths.vec3(0, 0.03, 0.08)  # in the head joint's frame, which looks along +Z
_PALM_FROM_WRIST_M = 0.09
_STRETCHED_M, _BENT_M = 0.50, 0.44  # wrist to upper chest: closes beyond, opens within


@dataclass(frozen=True)
class Joint:
    """One joint over time: ``position`` (F, 3) metres, ``orientation`` (F, 4) xyzw, in the clip's world."""

    position: Array
    orientation: Array


def read_clip(path: Path) -> dict[str, Joint]:
    """Forward kinematics of a BVH-like clip (``hierarchy`` text, ``pos``, ``rot_centideg``, ``channels``)."""
    with np.load(path) as clip:
        degrees = clip["rot_centideg"].astype(np.float32) / 100
        rotations = [str(c) for c, is_rotation in zip(clip["channels"], clip["isrot"], strict=True) if is_rotation]
        root, skeleton = clip["pos"].astype(np.float32), _skeleton(str(clip["hierarchy"]))
    joints: dict[str, Joint] = {}
    for name, (parent, offset) in skeleton.items():
        first = rotations.index(f"{name}.Zrotation")
        local = _euler_zxy(np.radians(degrees[:, first : first + 3]))
        if parent is None:
            joints[name] = Joint(root, local)
        else:
            over = joints[parent]
            joints[name] = Joint(
                over.position + maths.rotate(over.orientation, offset), maths.quat_multiply(over.orientation, local)
            )
    return joints


def _skeleton(hierarchy: str) -> dict[str, tuple[str | None, Array]]:
    """Parent and offset of each joint, parents first."""
    skeleton: dict[str, tuple[str | None, Array]] = {}
    parents: list[str] = []
    name = ""
    for words in (line.split() for line in hierarchy.splitlines()):
        if words[:1] in (["ROOT"], ["JOINT"], ["End"]):
            name = words[1]
        elif words[:1] == ["{"]:
            parents.append(name)
        elif words[:1] == ["}"]:
            parents.pop()
        elif words[:1] == ["OFFSET"] and name != "Site":
            skeleton[name] = (parents[-2] if len(parents) > 1 else None, maths.vec3(*map(float, words[1:4])))
    return skeleton


def _euler_zxy(angles: Array) -> Array:
    """(F, 3) intrinsic z, x, y rotations in radians as quaternions (F, 4)."""
    half = angles[:, :, None] / 2
    z, x, y = (np.sin(half[:, i]) * axis for i, axis in enumerate(np.eye(3)[[2, 0, 1]]))
    turns = [np.concatenate([part, np.cos(half[:, i])], 1) for i, part in enumerate((z, x, y))]
    return maths.quat_multiply(maths.quat_multiply(turns[0], turns[1]), turns[2])


def tour_of(joints: dict[str, Joint], start: int, count: int) -> Records:
    """``count`` records from frame ``start``: the head begins over the origin and looks along -Z."""
    left, right = _squeezes(joints, "Left"), _squeezes(joints, "Right")
    people = [_person(joints, frame, (left[frame], right[frame])) for frame in range(start, start + count)]
    head = people[0].head
    floor = Pose(head.position * maths.vec3(1, 0, 1), maths.quat_from_yaw_pitch(maths.yaw_of(head.orientation), 0))
    stage_from_clip = floor.inverse()
    packed = [pack_snapshot(_moved(p, stage_from_clip, round(i * 1e9 / RATE_HZ))) for i, p in enumerate(people)]
    return np.frombuffer(b"".join(packed), INPUT_DTYPE).copy()


def _squeezes(joints: dict[str, Joint], side: str) -> list[float]:
    reach = np.linalg.norm(joints[f"{side}Hand"].position - joints["UpperChest"].position, axis=1)
    closed, squeezes = False, []
    for distance in reach:
        closed = bool(distance > (_BENT_M if closed else _STRETCHED_M))
        squeezes.append(float(closed))
    return squeezes


def _person(joints: dict[str, Joint], frame: int, squeezes: tuple[float, float]) -> InputSnapshot:
    """Head and hands at one frame, in the clip's place but with OpenXR's axes."""
    about = Pose(orientation=maths.quat_from_axis_angle(*_OPENXR_FROM_CLIP))
    openxr_from_clip = about.inverse()

    def at(name: str) -> Pose:
        joint = joints[name]
        return openxr_from_clip @ Pose(joint.position[frame], joint.orientation[frame])

    head = at("Head") @ Pose(_EYES_FROM_HEAD_M) @ about
    hands = (_hand(at("LeftHand"), 1, squeezes[0]), _hand(at("RightHand"), -1, squeezes[1]))
    valid = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND
    return InputSnapshot(0, head, hands, Button(0), valid, SourceKind.TRACE, head)


def _hand(wrist: Pose, out: int, squeeze: float) -> HandState:
    """Grip and aim of a hand whose fingers point along ``out``·X, palm down, thumb along +Z at rest."""
    palm = wrist @ Pose(maths.vec3(out * _PALM_FROM_WRIST_M, 0, 0))
    # OpenXR grip: -Z from little finger to thumb, +X out of the left palm and into the right one.
    grip = _from_axes(x=maths.vec3(0, -out, 0), z=maths.vec3(0, 0, -1))
    aim = _from_axes(x=maths.vec3(0, 0, out), z=maths.vec3(-out, 0, 0))
    return HandState(palm @ Pose(orientation=grip), palm @ Pose(orientation=aim), squeeze=squeeze)


def _from_axes(x: Array, z: Array) -> Array:
    """The quaternion whose +X and +Z axes are these (unit, at right angles)."""
    turned = maths.look_at((0, 0, 0), -z)
    across = maths.rotate(turned, (1, 0, 0))
    angle = float(np.arctan2(np.cross(across, x) @ z, across @ x))
    return maths.quat_multiply(maths.quat_from_axis_angle(z, angle), turned)


def _moved(person: InputSnapshot, stage_from_clip: Pose, time_ns: int) -> InputSnapshot:
    head = stage_from_clip @ person.head
    left, right = (replace(h, grip=stage_from_clip @ h.grip, aim=stage_from_clip @ h.aim) for h in person.hands)
    return replace(person, time_ns=time_ns, head=head, gaze=head, hands=(left, right))


def main() -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=float, default=127.2, help="seconds into the clip")
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    records = tour_of(read_clip(asked.clip), round(asked.start * RATE_HZ), round(asked.seconds * RATE_HZ))
    write_recording(asked.out, records)


if __name__ == "__main__":
    main()
