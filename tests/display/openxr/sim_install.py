"""The two ways in: in place of pyopenxr's raw functions, or under the real loader through a C shim."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_void_p, cast
from pathlib import Path

import xr
from sim_runtime import SimulatedRuntime

#: Of a runtime whose library the system would look for by name; nobody does while the raw functions are replaced.
MANIFEST = '{"file_format_version": "1.0.0", "runtime": {"library_path": "libsimulated.so"}}'

_SHIM = r"""
#include <stddef.h>
#include <stdint.h>
typedef struct {
    uint32_t type, version; size_t size; uint32_t min_interface, max_interface; uint64_t min_api, max_api;
} Loader;
typedef struct {
    uint32_t type, version; size_t size; uint32_t interface; uint64_t api; void *get_proc_address;
} Request;
static void *get_proc_address;
__attribute__((visibility("default"))) void simulated_set(void *p) { get_proc_address = p; }
__attribute__((visibility("default"))) int xrNegotiateLoaderRuntimeInterface(const Loader *loader, Request *request) {
    if (!get_proc_address || loader->type != 1 || request->type != 3) return -6;
    request->interface = 1; request->api = (1ull << 48) | (1ull << 32); request->get_proc_address = get_proc_address;
    return 0;
}
"""


@contextmanager
def in_place_of_raw_functions(runtime: SimulatedRuntime) -> Iterator[None]:
    """pyopenxr calls the simulated runtime directly: no loader, no compiler."""
    raw, before = xr.raw_functions, {}
    for name, function in runtime.table.items():
        if hasattr(raw, name):
            before[name] = getattr(raw, name)
            setattr(raw, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(raw, name, function)


def compiler() -> str | None:
    """A C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def under_the_loader(runtime: SimulatedRuntime, folder: Path) -> None:
    """Make ``runtime`` the active one of this process, before its first OpenXR call. For good: use a child process."""
    library = folder / "libsimulated.so"
    build = [str(compiler()), "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(build, input=_SHIM.encode(), check=True)
    shim = ctypes.CDLL(str(library))
    shim.simulated_set.argtypes = [c_void_p]
    shim.simulated_set(cast(runtime.table["xrGetInstanceProcAddr"], c_void_p))
    manifest = folder / "runtime.json"
    entry = {"name": "Simulated", "library_path": str(library)}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "runtime": entry}))
    os.environ["XR_RUNTIME_JSON"] = str(manifest)
