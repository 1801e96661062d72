"""Input recordings on disk: MCAP, topic ``/input``, one ``core.input.INPUT_DTYPE`` record a message."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from mcap.writer import CompressionType, Writer
from zstandard import ZstdError

from vrapp.core.errors import InputFileError
from vrapp.core.input import INPUT_DTYPE, Button, Valid

Records: TypeAlias = npt.NDArray[np.void]

TOPIC = "/input"
ENCODING = "vrapp-struct"

_RECORD_LIMIT_BYTES = 256 << 20  # a damaged length must not ask for all memory
#: What mcap's reader stumbles over in a file that ends or breaks inside a record.
_BROKEN = (
    McapError, struct.error, ValueError, LookupError, OverflowError, MemoryError, EOFError, ZstdError, RuntimeError,
)  # fmt: skip
_POSES = ("head", "gaze", "left.grip", "left.aim", "right.grip", "right.aim")
_FARTHEST_M = 1e4
_LONGEST_NS = 24 * 3600 * 10**9  # on either side of the middle


def read_recording(path: Path) -> tuple[Records, str]:
    """All usable records (N ≥ 1) in order of time, and a notice of what was not usable (or "").

    A file that was cut off gives all up to the cut. Raises InputFileError where nothing can be used.
    """
    packed, complete = _read_messages(path)
    if not packed:
        raise InputFileError(f"The recording '{path}' holds no moment of input; record again with --record.")
    records = np.frombuffer(b"".join(packed), INPUT_DTYPE).copy()
    sound = _sound(records)
    if not sound.any():
        raise InputFileError(
            f"The recording '{path}' holds {len(records)} moments, none of them with sound poses; "
            "record again with --record."
        )
    kept = records[sound]
    kept = kept[np.argsort(kept["time_ns"], kind="stable")]
    notices = []
    if not complete:
        notices.append(f"ends before its end, after {len(records)} moments")
    if len(kept) < len(records):
        notices.append(f"has {len(records) - len(kept)} moments with impossible poses or times, which are left out")
    return _tidied(kept), f"The recording '{path}' {' and '.join(notices)}." if notices else ""


def _read_messages(path: Path) -> tuple[list[bytes], bool]:
    """The packed records, and whether the file was read to its end."""
    packed: list[bytes] = []
    try:
        with path.open("rb") as stream:
            reader = NonSeekingReader(stream, record_size_limit=_RECORD_LIMIT_BYTES)
            try:
                for _, channel, message in reader.iter_messages(topics=[TOPIC], log_time_order=False):
                    if channel.message_encoding != ENCODING:
                        raise InputFileError(
                            f"In '{path}' the topic {TOPIC} is encoded as '{channel.message_encoding}', not as "
                            f"'{ENCODING}'; give a recording made with --record."
                        )
                    if len(message.data) != INPUT_DTYPE.itemsize:
                        if not packed:
                            raise InputFileError(_other_version(path, len(message.data)))
                        return packed, False  # the last one was cut
                    packed.append(bytes(message.data))
            except _BROKEN as e:
                if not packed:
                    raise InputFileError(
                        f"The file '{path}' is no recording of input, or is damaged from the start "
                        f"({type(e).__name__}); give a file made with --record, or a .toml or .json script."
                    ) from e
                return packed, False
    except OSError as e:
        raise InputFileError(f"The recording '{path}' cannot be read ({e.strerror}).") from e
    return packed, True


def _other_version(path: Path, found_bytes: int) -> str:
    return (
        f"The recording '{path}' has records of {found_bytes} bytes where this version has {INPUT_DTYPE.itemsize}; "
        "it was damaged or made by another version of vrapp."
    )


def _pose(records: Records, name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    hand, dot, part = name.rpartition(".")
    holder = records[hand] if dot else records
    return holder[f"{part}_position"], holder[f"{part}_orientation"]


def _sound(records: Records) -> npt.NDArray[np.bool_]:
    """(N,) True where every number is finite, the time plausible, and every *tracked* pose possible."""
    sound = np.abs(records["time_ns"] - np.median(records["time_ns"])) < _LONGEST_NS
    sound &= np.isfinite(records["left"]["stick"]).all(1) & np.isfinite(records["right"]["stick"]).all(1)
    for hand in ("left", "right"):
        sound &= np.isfinite(records[hand]["trigger"]) & np.isfinite(records[hand]["squeeze"])
    for name in _POSES:
        position, orientation = _pose(records, name)
        length = np.linalg.norm(orientation.astype(float), axis=1)
        possible = (np.abs(position) < _FARTHEST_M).all(1) & (np.abs(length - 1) < 0.1)
        sound &= possible | ((records["valid"] & _tracking(name)) == 0)
    return np.asarray(sound, bool)


def _tracking(name: str) -> int:
    bits = {"head": Valid.HEAD, "gaze": Valid.GAZE, "left": Valid.LEFT_HAND, "right": Valid.RIGHT_HAND}
    return int(bits[name.split(".", maxsplit=1)[0]])


def _tidied(records: Records) -> Records:
    """Unit quaternions (untracked nonsense becomes the origin), known bits, values in range."""
    for name in _POSES:
        position, orientation = _pose(records, name)
        length = np.linalg.norm(orientation.astype(float), axis=1)
        possible = np.isfinite(position).all(1) & np.isfinite(length) & (length > 0.5)
        position[~possible], orientation[~possible] = 0, (0, 0, 0, 1)
        uneven = possible & (np.abs(length - 1) > 1e-4)  # others stay to the bit, so that replays are exact
        orientation[uneven] /= length[uneven, None]
    for hand in ("left", "right"):
        for field, low in (("trigger", 0), ("squeeze", 0), ("stick", -1)):
            np.clip(records[hand][field], low, 1, out=records[hand][field])
    records["buttons"] &= _all_bits(Button)
    records["valid"] &= _all_bits(Valid)
    return records


def _all_bits(flags: Any) -> int:
    return sum(int(flag) for flag in flags)


def write_recording(path: Path, records: Records) -> None:
    """Write ``records`` as a recording that ``read_recording`` and the recorder's readers take."""
    fields = [[name, str(INPUT_DTYPE[name])] for name in INPUT_DTYPE.names or ()]
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(library="vrapp")
        schema = writer.register_schema("vrapp.InputSnapshot", ENCODING, json.dumps(fields).encode())
        channel = writer.register_channel(TOPIC, ENCODING, schema)
        for record in records:
            time_ns = int(record["time_ns"])
            writer.add_message(channel, time_ns, record.tobytes(), time_ns)
        writer.finish()  # type: ignore[no-untyped-call]
