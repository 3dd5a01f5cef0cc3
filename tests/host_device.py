"""The CUDA engine's kernels as a C++ program of this machine: a device for tests, where a warp is a loop over 32 lanes."""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from trajlib.engines.cuda.driver import Buffer

MODULES: dict = {}
"""Compiled kernels by their text: once a process."""


def shared_object(command: list[str], text: str) -> Path:
    """What a compiler makes of a text, kept from run to run."""
    key = hashlib.sha256("\0".join([*command, text]).encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"trajlib-kernels-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    path, made = folder / f"{key}.so", folder / f"{key}-{os.getpid()}.so"
    if not path.is_file():
        subprocess.run(
            [*command, "-shared", "-fPIC", "-o", str(made), "-lm", "-ldl"], input=text, text=True, check=True
        )
        made.replace(path)  # whole or not at all
    return path


class HostModule:
    def __init__(self, library):
        self._library = library

    def launch(self, kernel, rows, grid, block, shared, arguments):
        function = getattr(self._library, kernel)
        values = []
        for argument in arguments:
            if argument is None:
                values.append(ctypes.c_void_p(0))
            elif isinstance(argument, Buffer):
                values.append(ctypes.c_void_p(argument.address))
            elif isinstance(argument, int | np.integer):
                values.append(ctypes.c_int(argument))
            else:
                values.append(argument)
        for row in range(rows):
            function(*values, ctypes.c_int(row))


class HostDevice:
    """Memory of this process, and g++ in the place of NVRTC."""

    name, operations_per_second, shared = "a C++ program", 1e9, 0

    def __init__(self):
        self._kept = {}

    def array(self, values):
        values = np.array(values, order="C")
        if values.dtype != np.int64:
            values = values.astype(float)
        return self._keep(values)

    def zeros(self, entries):
        return self._keep(np.zeros(entries))

    def _keep(self, values):
        self._kept[values.ctypes.data] = values
        return Buffer(self, values.ctypes.data if values.size else 0, values.shape, values.dtype)

    def free(self, address):
        self._kept.pop(address, None)

    def fetch(self, out, address):
        if out.size:
            ctypes.memmove(out.ctypes.data, address, out.nbytes)

    def copy(self, to, source, size):
        ctypes.memmove(to, source, size)

    def synchronize(self):
        pass

    def compiled(self, text):
        if text not in MODULES:
            command = ["g++", "-O2", "-std=c++17", "-ffp-contract=off", "-x", "c++", "-"]
            MODULES[text] = HostModule(ctypes.CDLL(str(shared_object(command, text))))
        return MODULES[text]
