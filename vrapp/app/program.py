"""The program's name, as its messages and examples say it."""

import os


def program() -> str:
    """How the user started the program: ``run.py`` tells through the environment, else it is ``vrapp``."""
    return os.environ.get("VRAPP_PROGRAM") or "vrapp"
