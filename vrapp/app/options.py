"""All options of a visit to the world (design.md §8), parsed and checked before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from vrapp.app import outputs, settings
from vrapp.app.arguments import Parser, folder, input_file, one_of, output_file, real, size, whole
from vrapp.app.program import program
from vrapp.core import resources
from vrapp.core.comfort import MOVES, Comfort
from vrapp.core.errors import UsageError
from vrapp.study import parts

DISPLAYS = ("auto", "openxr", "desktop", "offscreen")
POLICIES = ("adaptive", "frozen", "random")
CLOCKS = ("real", "fixed")
GENERATOR_PACES = ("off", "auto", "full")
PRESETS = ("auto", "light", "full")
MAX_SEED = 2**63 - 1
_EYE_HEIGHT = "of your eyes, seated or where the headset knows no floor (1.65)"


@dataclass(frozen=True)
class Options:
    """What the user asked for. None means: not asked for, the program chooses.

    ``frames`` and ``seconds`` count from "world populated"; at most one is given. ``size`` is pixels
    of the window, or of one view. ``pace_hz`` is the rate that frames are held to. ``clock`` None is
    "fixed" offscreen and with ``input``, else "real". ``resolution`` is a factor of what the headset recommends.
    ``truncation`` is the share of the requests' temperature that is kept. ``objects``: how many a bench shows.
    """

    display: str = "auto"
    world: str = "meadow"
    seed: int = 7  # a well-made first table
    weights: Path | None = None
    policy: str = "adaptive"
    frames: int | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    input: Path | None = None
    clock: str | None = None
    pace_hz: float | None = None
    generator: str = "auto"
    preset: str = "auto"
    stereo: bool = False
    screenshot: Path | None = None
    stats: Path | None = None
    record: Path | None = None
    resolution: float = 1.0
    comfort: Comfort = field(default_factory=Comfort)
    truncation: float = 1.0
    objects: int | None = None


def parse_options(words: Sequence[str]) -> Options:
    """The options of ``vrapp enter``. Raises UsageError or InputFileError; looks at files, writes none."""
    typed = vars(_parser().parse(words))
    # What is repeated does not depend on what somebody liked since; and offscreen there is nobody.
    kept = Comfort() if "input" in typed or typed.get("display") == "offscreen" else settings.load()
    comfort = replace(kept, **{f.name: typed.pop(f.name) for f in fields(Comfort) if f.name in typed})
    found = Options(**typed, comfort=comfort)
    if found.frames is not None and found.seconds is not None:
        raise UsageError("--frames and --seconds both say when to end; give one of them.")
    if found.clock == "fixed" and found.display == "openxr":
        raise UsageError("--clock fixed cannot be kept in a headset, which has its own clock; leave it out.")
    if found.stereo and found.display not in ("auto", "offscreen"):
        raise UsageError(f"--stereo is for --display offscreen, not {found.display}: a headset is always in stereo.")
    return found


def check_outputs(options: Options) -> None:
    """Prove that all that is to be left behind can be written. Raises OutputError."""
    if options.screenshot:
        outputs.check_file(options.screenshot, "--screenshot")
    if options.stats:
        outputs.check_file(options.stats, "--stats")
    if options.record:
        parts.check_free(options.record)
        outputs.check_folder(options.record, "--record")


def _world(text: str) -> str:
    """A world that comes with the program, by name, or one of the user's own, by the path of its file."""
    if text.endswith(".toml"):
        return str(input_file("--world")(text))
    names = sorted(path.stem for path in (resources.assets() / "worlds").glob("*.toml"))
    return one_of("--world", names)(text)


def _policy(text: str) -> str:
    if text.startswith("yoked"):
        raise UsageError(f"--policy {text} needs a study's recordings, which this version does not replay yet.")
    return one_of("--policy", POLICIES)(text)


def _parser() -> Parser:
    """Every default comes from ``Options``: SUPPRESS leaves out what was not typed."""
    parser = Parser("enter", "Enter the world: in a headset, else in a window, else offscreen.", _examples())
    parser.argument_default = argparse.SUPPRESS
    _add_place(parser)
    _add_comfort(parser)
    _add_length(parser)
    _add_machine(parser)
    left = parser.add_argument_group("what to leave behind")
    left.add_argument(
        "--screenshot", metavar="P.png", type=output_file("--screenshot", ".png"), help="the last picture"
    )
    left.add_argument("--stats", metavar="P.json", type=output_file("--stats", ".json"), help="the run's figures")
    left.add_argument("--record", metavar="DIR", type=folder, help="all input, events and decisions, as an MCAP file")
    return parser


def _add_place(parser: Parser) -> None:
    world = parser.add_argument_group("which world")
    world.add_argument("--world", metavar="NAME", type=_world, help="meadow (default), or a world file of your own")
    world.add_argument("--seed", metavar="N", type=whole("--seed", 0, MAX_SEED), help="same seed, same objects (7)")
    world.add_argument("--weights", metavar="FILE", type=input_file("--weights"), help="a generator of your own")
    share = real("--truncation", 0, 1)
    kept = "how far objects stray from what the networks have seen: 0 not at all … 1 (1)"
    world.add_argument("--truncation", metavar="S", type=share, help=kept)
    world.add_argument(
        "--policy", metavar="NAME", type=_policy, help="what to make next: adaptive (default), frozen or random"
    )
    where = parser.add_argument_group("where it is seen")
    where.add_argument("--display", metavar="NAME", type=one_of("--display", DISPLAYS), help=", ".join(DISPLAYS))
    where.add_argument("--size", metavar="WxH", type=size("--size", 64, 8192), help="pixels of the picture")
    where.add_argument("--stereo", action="store_true", help="offscreen: both eyes, side by side")
    where.add_argument(
        "--preset", metavar="NAME", type=one_of("--preset", PRESETS), help="auto (by the renderer), light or full"
    )


def _add_comfort(parser: Parser) -> None:
    comfort = parser.add_argument_group("how you like it", "What you change in the menu is kept for the next time.")
    comfort.add_argument("--seated", action="store_true", help="you sit: your eyes are raised to --eye-height")
    comfort.add_argument("--standing", dest="seated", action="store_false", help="and this ends it")
    comfort.add_argument("--left-handed", action="store_true", help="left hand points and turns, right stick walks")
    comfort.add_argument("--right-handed", dest="left_handed", action="store_false", help="and this ends it")
    height = real("--eye-height", 0.5, 2.5, "metres")
    comfort.add_argument("--eye-height", metavar="M", dest="eye_height_m", type=height, help=_EYE_HEIGHT)
    comfort.add_argument("--turn", metavar="DEG", dest="turn_deg", type=_turn, help="of a snap (30), or smooth")
    comfort.add_argument("--move", metavar="HOW", type=one_of("--move", MOVES), help="both (default), walk or teleport")
    share = real("--vignette", 0, 1)
    comfort.add_argument("--vignette", metavar="S", type=share, help="narrow the view while moving: 0 never … 1 (1)")
    scale = real("--resolution", 0.2, 3)
    comfort.add_argument("--resolution", metavar="X", type=scale, help="times the pixels that the headset wants (1)")


def _turn(text: str) -> float:
    return 0.0 if text == "smooth" else real("--turn", 5, 90, "degrees (or smooth)")(text)


def _add_length(parser: Parser) -> None:
    length = parser.add_argument_group("how long", "Counted from when the world is populated.")
    length.add_argument("--frames", metavar="N", type=whole("--frames", 1, 10_000_000), help="this many frames")
    length.add_argument("--seconds", metavar="S", type=real("--seconds", 0.1, 1e6, "seconds"), help="this long")


def _add_machine(parser: Parser) -> None:
    run = parser.add_argument_group("how it runs")
    run.add_argument("--input", metavar="FILE", type=input_file("--input"), help="a recording, or a script of poses")
    run.add_argument("--clock", metavar="C", type=one_of("--clock", CLOCKS), help="real, or fixed: repeats exactly")
    hertz = real("--pace", 1, 1000, "frames a second")
    run.add_argument("--pace", metavar="HZ", dest="pace_hz", type=hertz, help="hold this rate")
    run.add_argument("--generator", metavar="G", type=one_of("--generator", GENERATOR_PACES), help="off, auto or full")


def _examples() -> str:
    return f"""examples:
  {program()}
  {program()} --seed 7 --size 1280x720
  {program()} --display offscreen --frames 300 --seed 7 --screenshot p.png --stats s.json
  {program()} --record my_visit        and again: --input my_visit/session.mcap"""
