"""Every error that a user can cause, each one sentence: what, where, what to do.

``exit_code`` is the process's exit code when the error ends the program (design.md §8).
"""

from __future__ import annotations


class VrappError(Exception):
    """Base of all errors whose text is written for the user. Never shown with a traceback."""

    exit_code = 2


class UsageError(VrappError):
    """An option, name or combination of options that does not exist."""


class InputFileError(VrappError):
    """A file given by the user is missing, damaged, or not what it should be."""


class WeightsError(InputFileError):
    """A weights file is missing, damaged (hash), of another schema, or of other shapes."""


class OutputError(VrappError):
    """A file or folder cannot be written."""


class DisplayUnavailable(VrappError):
    """The display asked for cannot start on this machine; says which part is missing."""


class GraphicsError(VrappError):
    """OpenGL is missing, too old, or reported an error."""


class CheckFailed(VrappError):
    """A check or a comparison that the user asked for came out negative."""

    exit_code = 1


class WorkerDied(VrappError):
    """The generator's or the recorder's process ended unexpectedly."""

    exit_code = 3
