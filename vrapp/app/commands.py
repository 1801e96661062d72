"""The sub-commands: each parses its own words, then imports what does the work."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from vrapp.app import outputs
from vrapp.app.arguments import Parser, folder, input_file, input_folder, nearest, one_of, output_file, real, whole
from vrapp.app.options import MAX_SEED, Options, check_outputs, parse_options
from vrapp.app.program import program
from vrapp.core.errors import UsageError

BENCHES = ("frame", "generate", "scale", "memory", "record", "headset", "soak", "reshape")
TRAINED = ("objects", "dense")


def enter(words: Sequence[str]) -> int:
    """The world itself."""
    options = parse_options(words)
    check_outputs(options)
    _log_to_stderr()
    _keep_products_on_this_thread()
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
    if what == "frame":
        help_ = "compare with it, too: peer_ratio is our frame time over its own (below 1: ours is faster)"
        parser.add_argument("--peer", metavar="ENGINE", type=one_of("--peer", ("panda3d",)), help=help_)
        pace = real("--pace", 1, 1000, "hertz")
        parser.add_argument(
            "--pace", metavar="HZ", type=pace, help="such as 72, 90 or 120 (one that this machine holds)"
        )
        seconds = real("--seconds", 1, 36_000, "seconds")
        parser.add_argument(
            "--seconds",
            metavar="S",
            type=seconds,
            help="of each: five times with the generator off, on and at full work (16)",
        )
        objects = whole("--objects", 1, 10_000)
        parser.add_argument("--objects", metavar="N", type=objects, help="shown, about, if there is room (160)")
    if what == "soak":
        seconds = real("--seconds", 1, 1e6, "seconds")
        parser.add_argument("--seconds", metavar="S", type=seconds, help="of simulated time (3600)")
        rate = real("--rate", 5, 1000, "frames a second")
        parser.add_argument("--rate", metavar="HZ", type=rate, help="simulated frames a second (20)")
    found = parser.parse(rest)
    if found.json:
        outputs.check_file(found.json, "--json")
    _log_to_stderr()
    _keep_products_on_this_thread()
    from vrapp.app import bench as bench_module

    paces = {"soak": "rate", "frame": "pace"}
    asked = {"seconds": found.seconds, "pace_hz": getattr(found, paces[what])} if what in paces else {}
    if what == "frame":
        asked["objects"] = found.objects
    if what == "frame" and found.peer:
        what = f"frame beside {found.peer}"
    return bench_module.run(what, Options(seed=found.seed, weights=found.weights, **asked), found.json)


def train(words: Sequence[str]) -> int:
    """Training, with checkpoints beside the weights; started again it goes on from the last one."""
    what, rest = _kind("train", words, TRAINED)
    if what == "dense":
        return _train_dense(rest)
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
    kind = one_of("--model", ("vae", "vae-gan", "gan"))
    models = "or vae-gan (its decoder trained on against critics), or gan, to compare with (vae)"
    parser.add_argument("--model", metavar="KIND", type=kind, default="vae", help=models)
    latent = one_of("--latent", ("spatial", "global"))
    numbers = "or global, one code for the whole shape, to compare with (spatial)"
    parser.add_argument("--latent", metavar="KIND", type=latent, default="spatial", help=numbers)
    prior = one_of("--prior", ("mixture", "autoregressive"))
    parser.add_argument("--prior", metavar="KIND", type=prior, default="mixture", help="or autoregressive (mixture)")
    found = parser.parse(rest)
    outputs.check_file(found.out, "--out")
    _log_to_stderr()
    from vrapp.training.objects import ObjectTraining, train_objects, with_global_latent

    settings = ObjectTraining(
        found.minutes * 60, found.prior == "autoregressive", adversarial=found.model == "vae-gan", seed=found.seed
    )
    if found.latent == "global":
        settings = with_global_latent(settings)
    if found.model == "gan":
        from vrapp.training.object_gan import train_object_gan

        train_object_gan(found.data, found.out, settings, split_file=found.split)
    else:
        train_objects(found.data, found.out, settings, split_file=found.split)
    return 0


def evaluate(words: Sequence[str]) -> int:
    """Metrics of trained weights."""
    what, rest = _kind("evaluate", words, TRAINED)
    if what == "dense":
        return _evaluate_dense(rest)
    parser = Parser(f"evaluate {what}", "Prints the generator's metrics beside their baselines.")
    parser.add_argument("--data", metavar="DIR", type=input_folder("--data"), help="the models it is compared with")
    parser.add_argument("--json", metavar="P.json", type=output_file("--json", ".json"), help="write the table there")
    also = "a further row of the table: other weights, or those of a pure GAN; may be given again"
    parser.add_argument("--also", metavar="FILE", type=input_file("--also"), action="append", default=[], help=also)
    split = "the split they were trained with, if train was given one"
    parser.add_argument("--split", metavar="FILE", type=input_file("--split"), help=split)
    sheets = "draw data, reconstructions, samples, neighbours and interpolations there"
    parser.add_argument("--sheets", metavar="DIR", type=folder, help=sheets)
    count = "test models, and as many samples, in each row of the table (all)"
    parser.add_argument("--count", metavar="N", type=whole("--count", 2, 1_000_000), help=count)
    _add_seed_and_weights(parser)
    found = parser.parse(rest)
    if found.json:
        outputs.check_file(found.json, "--json")
    if found.sheets:
        outputs.check_folder(found.sheets, "--sheets")
    _log_to_stderr()
    from vrapp.training import evaluate as evaluate_module

    return evaluate_module.run(
        found.data, found.weights, found.json, found.seed, found.also, found.sheets, found.split, found.count
    )


def _train_dense(words: Sequence[str]) -> int:
    """A dense VAE or GAN on 28×28 pictures, or on relief for the ground of the world."""
    parser = Parser("train dense", "Trains a dense VAE or GAN; started again, it goes on where it was ended.")
    data = "a folder with MNIST's files or .npy arrays (N, 28, 28); without it, relief made by code: the ground"
    parser.add_argument("--data", metavar="DIR", type=input_folder("--data"), help=data)
    out = output_file("--out", ".safetensors")
    parser.add_argument("--out", metavar="FILE", type=out, required=True, help="the weights file to write")
    parser.add_argument("--model", metavar="KIND", type=one_of("--model", ("vae", "gan")), default="vae", help="or gan")
    widths = "hidden widths, then the latent's (200-200-50 for pictures, 128-128 for relief)"
    parser.add_argument("--layers", metavar="N-…-N", type=_layers, help=widths)
    steps = whole("--steps", 1, 100_000_000)
    parser.add_argument("--steps", metavar="N", type=steps, default=60_000, help="of 100 pictures (60000)")
    seed = whole("--seed", 0, MAX_SEED)
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="same seed, same network")
    found = parser.parse(words)
    outputs.check_file(found.out, "--out")
    _log_to_stderr()
    from vrapp.models.dense import DenseConfig
    from vrapp.training.dense import DenseTraining, train_to_file

    *hidden, latent = found.layers or ((200, 200, 50) if found.data else (128, 128))
    plan = DenseTraining(found.model, found.steps, seed=found.seed, model=DenseConfig(tuple(hidden), latent))
    train_to_file(found.out, plan, found.data)
    return 0


def _layers(text: str) -> tuple[int, ...]:
    """``200-200-50`` as numbers."""
    parts = text.split("-")
    if not 2 <= len(parts) <= 6 or not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise UsageError(f"--layers takes 2 to 6 widths up to 4096 with dashes between, like 200-200-50, not '{text}'.")
    return tuple(int(part) for part in parts)


def _evaluate_dense(words: Sequence[str]) -> int:
    """ELBO, NLL and the quality of what is drawn, for the dense networks that ship or one of your own."""
    parser = Parser("evaluate dense", "Prints likelihoods of the dense networks, and how near to the data they draw.")
    data = "the pictures they were trained on: MNIST's files or .npy arrays"
    parser.add_argument("--data", metavar="DIR", type=input_folder("--data"), help=data)
    parser.add_argument("--json", metavar="P.json", type=output_file("--json", ".json"), help="write the table there")
    images = whole("--images", 2, 1_000_000)
    parser.add_argument(
        "--images", metavar="N", type=images, default=1000, help="test pictures that get 5,000 samples each (1000)"
    )
    _add_seed_and_weights(parser)
    found = parser.parse(words)
    if found.json:
        outputs.check_file(found.json, "--json")
    _log_to_stderr()
    from vrapp.app import hardware
    from vrapp.training.evaluate_dense import DenseEvaluation, evaluate_dense

    table = evaluate_dense(found.weights, found.data, DenseEvaluation(found.images, seed=found.seed))
    print("\n".join(f"{name}: {value}" for name, value in table["summary"].items()))
    if found.json:
        described = {"hardware": hardware.describe_hardware(), "command": hardware.command_line()}
        hardware.write_json(found.json, {**described, "commit": hardware.commit(), **table})
    return 0


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


def _keep_products_on_this_thread() -> None:
    """One thread for numpy's BLAS, set before numpy comes: a frame's small product that waited for a second
    thread took 92 ms instead of 0.5 where the cores were busy.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


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
