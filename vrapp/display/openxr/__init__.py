"""The headset through OpenXR. ``xr`` is imported in this package alone, and only when it is asked for."""
