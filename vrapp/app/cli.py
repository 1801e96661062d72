"""The command ``vrapp``: which sub-command, and how every way of ending looks to the user.

Nothing heavy is imported here: ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from vrapp import __version__
from vrapp.app.program import program
from vrapp.core.errors import UsageError, VrappError

INTERRUPTED = 130
FAILED = 3


#: The sub-commands and their lines in the help; each is a function of that name in ``commands``.
SUMMARIES = {
    "enter": "enter the world (the default: the word can be left out)",
    "doctor": "what of this machine works, and what to do about the rest",
    "generate": "make objects as GLB files, with a contact sheet",
    "train": "train a network from a folder of data",
    "evaluate": "the metric tables of the networks, beside their baselines",
    "bench": "measure frames, generation, scale or recording on this machine",
}

#: Commands of the plan that this version does not have: typed, they deserve more than "unknown".
PLANNED = ("study", "replay")


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code (design.md §8). Lets no exception out but SystemExit."""
    _prepare_streams()
    words = list(sys.argv[1:] if words is None else words)
    try:
        _end_cleanly_on_termination()
        code = _run(words)
        sys.stdout.flush()  # here, so that a closed pipe is noticed here
        return code
    except VrappError as e:
        _say(str(e))
        return e.exit_code
    except KeyboardInterrupt:
        _say("Interrupted.")
        return INTERRUPTED
    except Exception as e:
        if isinstance(e, BrokenPipeError) and _nobody_reads():
            return 0
        _say(f"vrapp failed: {type(e).__name__}: {_first_line(e)} The details are in {_write_log(words, e)}")
        return FAILED


def _run(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words and words[0] in ("-V", "--version"):
        print(f"vrapp {__version__}")
        return 0
    if not words or words[0].startswith("-"):
        words = ["enter", *words]
    if words[0] not in SUMMARIES:
        raise _unknown(words[0])
    from vrapp.app import commands

    result: int = getattr(commands, words[0])(words[1:])
    return result


def _unknown(name: str) -> UsageError:
    from vrapp.app.arguments import nearest

    if name in PLANNED:
        return UsageError(f"The command '{name}' is not built yet; '{program()} --help' lists what there is.")
    if name == "test":
        return UsageError("The tests belong to a checkout of the project: run 'python3 run.py test' there.")
    hint = nearest(name, [*SUMMARIES, "test"]) or f" '{program()} --help' lists what there is."
    return UsageError(f"There is no command '{name}'.{hint}")


def _help() -> str:
    lines = [f"  {name:<10}{summary}" for name, summary in SUMMARIES.items()]
    if program() != "vrapp":
        lines.append(f"  {'test':<10}run the tests (further words go to pytest)")
    return f"""usage: {program()} [command] [options]

A live world whose objects trained networks make while you stand in it.

commands:
{chr(10).join(lines)}

options of the world, the most useful ('{program()} enter --help' lists all):
  --display NAME      auto, openxr, desktop or offscreen
  --seed N            same seed, same objects
  --size WxH          pixels of the picture
  --seconds S         stop after so long
  --screenshot P.png  leave the last picture
  --stats P.json      leave the run's figures
  --record DIR        record the visit

'{program()} COMMAND --help' lists the options of a command, '{program()} --version' tells the version.

exit codes: 0 done, 1 a check failed, 2 not possible with this input or machine, 3 the program failed,
130 interrupted"""


def _nobody_reads() -> bool:
    """True after ``vrapp --help | head``: the reader of our output has seen enough. (Other pipes break, too.)"""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _say(sentence: str) -> None:
    """One line on stderr; a lost stderr is no reason to fail."""
    with contextlib.suppress(OSError, ValueError):
        print(" ".join(sentence.split()), file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    """A terminal that lacks a character shows its code instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _end_cleanly_on_termination() -> None:
    """SIGTERM and a closed terminal unwind like Ctrl-C, so that recordings and workers are closed."""
    import signal

    def end(number: int, frame: Any) -> NoReturn:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), end)


def _first_line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0][:200]
    return text if text.endswith((".", "!")) or not text else f"{text}."


def _write_log(words: Sequence[str], error: Exception) -> str:
    """The path of a new file with the traceback, in the cache folder or where temporary files go."""
    import tempfile
    import time
    import traceback

    from vrapp.core import resources

    text = f"vrapp {__version__}, Python {sys.version}, {sys.platform}\n{list(words)}\n\n"
    text += "".join(traceback.format_exception(error))
    name = f"failure-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (resources.cache_folder() / "logs", tempfile.gettempdir()):
        try:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, name)
            with open(path, "x", encoding="utf-8", errors="backslashreplace") as log:
                log.write(text)
            return path
        except OSError:
            continue
    return f"no file (none can be written): {traceback.format_exception_only(error)[-1].strip()}"
