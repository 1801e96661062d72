"""The command line's own parser: every mistake ends in one sentence with the nearest right name."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from vrapp.app.program import program
from vrapp.core.errors import InputFileError, UsageError


def nearest(word: str, choices: Sequence[str]) -> str:
    """`` Did you mean 'x'?``, or nothing where no choice is near."""
    import difflib

    found = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.5)
    return f" Did you mean '{found[0]}'?" if found else ""


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError, takes no abbreviations and knows what was probably meant."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"{program()} {command}".strip(),
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """argparse's complaint as one sentence."""
        said = message.removeprefix("argument ").rstrip(".")
        raise UsageError(f"{said[:1].upper() + said[1:]}; '{self.prog} --help' lists what there is.")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """All of ``words``. Raises UsageError for the first that is not known."""
        found, unknown = self.parse_known_args(list(words))
        if unknown:
            word = unknown[0].split("=", 1)[0]
            options = [name for action in self._actions for name in action.option_strings]
            kind = "option" if word.startswith("-") else "argument"
            hint = nearest(word, options) or f" '{self.prog} --help' lists what there is."
            raise UsageError(f"There is no {kind} '{word}'.{hint}")
        return found


def one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    """Parses one of ``choices``."""

    def parse(text: str) -> str:
        if text in choices:
            return text
        raise UsageError(
            f"{option} '{text}' does not exist; it is one of {', '.join(choices)}.{nearest(text, choices)}"
        )

    return parse


def whole(option: str, low: int, high: int) -> Callable[[str], int]:
    """Parses a whole number of ``low``…``high``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise UsageError(f"{option} takes a whole number from {low} to {high}, not '{text}'.")
        return number

    return parse


def real(option: str, low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """Parses a finite number of ``low``…``high`` (in ``unit``, where it has one)."""
    number_of = f"number of {unit}" if unit else "number"

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise UsageError(f"{option} takes a {number_of} from {low:g} to {high:g}, not '{text}'.")
        return number

    return parse


def size(option: str, low: int, high: int) -> Callable[[str], tuple[int, int]]:
    """Parses ``WxH`` in pixels, each of ``low``…``high``."""

    def parse(text: str) -> tuple[int, int]:
        parts = text.lower().replace("×", "x").split("x")
        if len(parts) != 2 or not all(part.isdecimal() and low <= int(part) <= high for part in parts):
            raise UsageError(
                f"{option} takes WIDTHxHEIGHT in pixels, each {low} to {high}, like 1280x720, not '{text}'."
            )
        return int(parts[0]), int(parts[1])

    return parse


def input_file(option: str) -> Callable[[str], Path]:
    """Parses the path of a file that is there and can be read."""

    def parse(text: str) -> Path:
        path = Path(text).expanduser()
        if path.is_dir():
            raise InputFileError(f"{option} takes a file, but '{text}' is a folder.")
        try:
            with path.open("rb"):
                return path
        except FileNotFoundError:
            raise InputFileError(f"{option}: there is no file '{text}'.{_beside(path)}") from None
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else e
            raise InputFileError(f"{option}: the file '{text}' cannot be read ({reason}).") from None

    return parse


def input_folder(option: str) -> Callable[[str], Path]:
    """Parses the path of a folder that is there."""

    def parse(text: str) -> Path:
        path = Path(text).expanduser()
        if not path.is_dir():
            raise InputFileError(f"{option}: there is no folder '{text}'.")
        return path

    return parse


def output_file(option: str, *endings: str) -> Callable[[str], Path]:
    """Parses the path of a file to write; ``endings`` are the formats that are written."""

    def parse(text: str) -> Path:
        path = Path(text).expanduser()
        if endings and path.suffix.lower() not in endings:
            raise UsageError(f"{option} takes a name that ends in {' or '.join(endings)}, not '{text}'.")
        return path

    return parse


def folder(text: str) -> Path:
    """Parses the path of a folder."""
    return Path(text).expanduser()


def _beside(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except (OSError, ValueError):
        return ""
    return nearest(path.name, names)
