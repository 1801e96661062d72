"""Run in a process of its own: a scripted visit on the simulated runtime under the real OpenXR loader.

    python loader_child.py FOLDER egl|glx

With Khronos' core validation layer on. Prints one JSON line at the end; the layer's findings go to stdout.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import xr

xr.api_layer.activate_core_validation_layer()
os.environ["XR_LOADER_DEBUG"] = "none"
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from sim_install import under_the_loader  # noqa: E402
from sim_runtime import SimulatedRuntime  # noqa: E402

if sys.argv[2] == "egl":
    os.environ.pop("DISPLAY", None)

from sim_visit import Visit  # noqa: E402

from vrapp.core.clock import FixedClock  # noqa: E402
from vrapp.core.comfort import Comfort  # noqa: E402
from vrapp.core.display import Board  # noqa: E402
from vrapp.core.input import LEFT, RIGHT  # noqa: E402
from vrapp.core.maths import vec3  # noqa: E402
from vrapp.core.pose import Pose  # noqa: E402
from vrapp.display.openxr.wishes import Wishes  # noqa: E402


def main() -> None:
    """Put on, look, grab, take off, put on, lose the session, quit."""
    runtime = SimulatedRuntime()
    runtime.capture = runtime.hands_supported = runtime.eyes_supported = True
    runtime.masks = [([(-2, -2), (-0.5, -2), (-2, 2)], [0, 1, 2])] * 2
    under_the_loader(runtime, Path(sys.argv[1]))
    visit = Visit(runtime, FixedClock(), wishes=Wishes(refresh_hz=120.0, comfort=Comfort(seated=True)))
    opened = visit.display.describe()
    snapshot = visit.frames(10)
    runtime.inputs["/user/hand/right/input/squeeze/value"] = 1.0
    grabbed = visit.frames(2).hands[RIGHT].squeeze
    visit.display.input().vibrate(LEFT, 0.5, 0.05)
    visit.display.begin_frame()
    visit.display.input().vibrate(RIGHT, 0.5, 0.05)
    visit.display.end_frame()
    visit.boards = (Board("menu", np.full((8, 16, 4), 200, np.uint8), Pose(vec3(0, 1.5, -1)), 0.4),)
    visit.display.settle(Comfort(left_handed=True))
    visit.frames(2)
    quads = [quad.size for quad in runtime.frames[-1].quads]
    hidden = [view.hidden.shape for view in visit.views]
    runtime.turn_lens_wheel(1, ([], []))
    runtime.tell_presence(False)
    away = visit.frames(2).valid
    runtime.tell_presence(True)
    visit.frames(2)
    hidden_later = visit.views[1].hidden
    runtime.open_gate.clear()  # the window goes on while xrWaitFrame waits in its thread
    runtime.go(xr.SessionState.VISIBLE)
    runtime.go(xr.SessionState.SYNCHRONIZED)
    visit.frames(5)
    runtime.take_off()
    visit.frames(5)
    runtime.open_gate.set()
    idle = visit.counts[-1]
    runtime.put_on()
    visit.frames(5)
    worn_again = visit.counts[-1]
    runtime.fail("xrEndFrame", xr.Result.ERROR_SESSION_LOST)
    visit.frames(2)
    visit.wait_s(5)
    visit.frames(8)
    depths = [eye.depth_range for eye in runtime.frames[-1].eyes]
    means = [eye.pixels[..., :3].mean((0, 1)).round().tolist() for eye in runtime.frames[-1].eyes]
    back = visit.counts[-1]
    visit.display.close()
    print()
    print(
        json.dumps(
            {
                "opened": opened, "valid": int(snapshot.valid), "grabbed": grabbed, "haptics": runtime.haptics,
                "hidden": hidden, "quads": quads, "hidden_later": hidden_later, "away": int(away), "depths": depths,
                "idle": idle, "worn_again": worn_again, "back": back, "means": means, "breaches": runtime.breaches,
                "leaks": runtime.leaks, "alive": len(runtime.things), "states": [s.name for s in runtime.states],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
