"""What other folders' tests made by code is used here, too."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("generation", "scene", "display/openxr")]
