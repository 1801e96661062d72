"""Another engine beside ours: the very same GLB files, camera, size and rasteriser."""
