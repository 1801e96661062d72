"""The sub-commands: each parses its own words, then imports what does the work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from vrapp.app import outputs
from vrapp.app.arguments import Parser, folder, input_file, input_folder, nearest, output_file, real, whole
from vrapp.app.options import MAX_SEED, Options, check_outputs, parse_options
from vrapp.app.program import program
from vrapp.core.errors import UsageError

BENCHES = ("frame", "generate", "scale", "record")
TRAINED = ("objects",)


def enter(words: Sequence[str]) -> int:
    """The world itself."""
    options = parse_options(words)
    check_outputs(options)
    _log_to_stderr()
    from vrapp.app import world

    return world.enter(options)


def doctor(words: Sequence[str]) -> int:
    """A table of what works on this machine."""
    parser = Parser("doctor", "Tells what of this machine works, and what to do about the rest.")
    parser.add_argument("--json", metavar="P.json", type=output_file("--json", ".json"), help="write the table there")
    parser.add_argument("--weights", metavar="FILE", type=input_file("--weights"), help="look at this weights file")
    found = parser.parse(words)
    if found.json:
        outputs.check_file(found.json, "--json")
    from vrapp.app import doctor as doctor_module

    return doctor_module.run(found.json, found.weights)


def generate(words: Sequence[str]) -> int:
    """Objects as files."""
    parser = Parser("generate", "Makes objects as GLB files, for Blender, Unity and Godot, with a contact sheet.")
    parser.add_argument("--count", metavar="N", type=whole("--count", 1, 100_000), default=16, help="how many (16)")
    parser.add_argument("--out", metavar="DIR", type=folder, required=True, help="the folder to write to")
    parser.add_argument("--category", metavar="C", help="of this category only")
    _add_seed_and_weights(parser)
    found = parser.parse(words)
    outputs.check_folder(found.out, "--out")
    _log_to_stderr()
    from vrapp.app import generate as generate_module

    return generate_module.run(found.count, found.out, found.category, found.seed, found.weights)


def bench(words: Sequence[str]) -> int:
    """Figures of this machine."""
    what, rest = _kind("bench", words, BENCHES)
    parser = Parser(f"bench {what}", "Measures this machine; prints p50 and p99 and names the hardware.")
    parser.add_argument("--json", metavar="P.json", type=output_file("--json", ".json"), help="write the figures there")
    _add_seed_and_weights(parser)
    found = parser.parse(rest)
    if found.json:
        outputs.check_file(found.json, "--json")
    _log_to_stderr()
    from vrapp.app import bench as bench_module

    return bench_module.run(what, Options(seed=found.seed, weights=found.weights), found.json)


def train(words: Sequence[str]) -> int:
    """Training, with checkpoints beside the weights; started again it goes on from the last one."""
    what, rest = _kind("train", words, TRAINED)
    parser = Parser(f"train {what}", "Trains the object generator; started again, it goes on where it was ended.")
    models = "GLB, glTF, OBJ or PLY files in a folder for each category"
    parser.add_argument("--data", metavar="DIR", type=input_folder("--data"), required=True, help=models)
    out = output_file("--out", ".safetensors")
    parser.add_argument("--out", metavar="FILE", type=out, required=True, help="the weights file to write")
    minutes = real("--minutes", 0.1, 1e5, "minutes")
    parser.add_argument("--minutes", metavar="M", type=minutes, default=60.0, help="time for the two networks (60)")
    parser.add_argument(
        "--seed", metavar="N", type=whole("--seed", 0, MAX_SEED), default=0, help="same seed, same start"
    )
    split = input_file("--split")
    parser.add_argument(
        "--split", metavar="FILE", type=split, help="which models are kept for tests (default: by itself)"
    )
    found = parser.parse(rest)
    outputs.check_file(found.out, "--out")
    _log_to_stderr()
    from vrapp.training.objects import ObjectTraining, train_objects

    settings = ObjectTraining(seconds=found.minutes * 60, seed=found.seed)
    train_objects(found.data, found.out, settings, split_file=found.split)
    return 0


def evaluate(words: Sequence[str]) -> int:
    """Metrics of trained weights."""
    what, rest = _kind("evaluate", words, TRAINED)
    parser = Parser(f"evaluate {what}", "Prints the generator's metrics beside their baselines.")
    parser.add_argument("--data", metavar="DIR", type=input_folder("--data"), help="the models it is compared with")
    parser.add_argument("--json", metavar="P.json", type=output_file("--json", ".json"), help="write the table there")
    _add_seed_and_weights(parser)
    found = parser.parse(rest)
    if found.json:
        outputs.check_file(found.json, "--json")
    _log_to_stderr()
    from vrapp.training import evaluate as evaluate_module

    return evaluate_module.run(found.data, found.weights, found.seed, found.json)


def _kind(command: str, words: Sequence[str], kinds: Sequence[str]) -> tuple[str, list[str]]:
    """The first word as one of ``kinds``, and the rest. ``--help`` alone lists the kinds."""
    there_is = f"there is {', '.join(kinds)}"
    if not words:
        raise UsageError(f"'{program()} {command}' needs to know what: {there_is}.")
    what = words[0]
    if what in ("-h", "--help"):
        print(f"usage: {program()} {command} {'|'.join(kinds)} [options]")
        sys.exit(0)
    if what not in kinds:
        raise UsageError(f"'{command} {what}' does not exist in this version; {there_is}.{nearest(what, kinds)}")
    return what, list(words[1:])


def _add_seed_and_weights(parser: Parser) -> None:
    parser.add_argument(
        "--seed", metavar="N", type=whole("--seed", 0, MAX_SEED), default=1, help="same seed, same result"
    )
    parser.add_argument("--weights", metavar="FILE", type=input_file("--weights"), help="a generator of your own")


def _log_to_stderr() -> None:
    """The program's own messages, bare, on stderr: stdout is for results."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("vrapp")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
