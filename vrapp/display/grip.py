"""How a hand that points lies in the palm: the angle between OpenXR's grip and aim poses."""

from __future__ import annotations

import math

from vrapp.core import maths

#: ``aim_from_grip`` tilt of common controllers. The grip's -Z runs from the little finger to the thumb, so
#: a hand that points ahead has its thumb up and its fingers ahead and down.
_TILT_RAD = math.radians(55)

AIM_FROM_GRIP = maths.quat_from_axis_angle((1, 0, 0), _TILT_RAD)
AIM_FROM_GRIP.setflags(write=False)
