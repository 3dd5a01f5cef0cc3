"""The CUDA engine's kernels as a C++ program of this machine: a device for tests, where a warp is a loop over 32 lanes."""

import ctypes
import hashlib
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from trajlib.engines.cuda.driver import Buffer

POINTERS = 64


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
    _modules: dict[str, HostModule] = {}

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
        if text not in self._modules:
            folder = Path(tempfile.gettempdir()) / "trajlib-host-kernels"
            folder.mkdir(exist_ok=True)
            path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"
            if not path.is_file():
                options = ["-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-x", "c++", "-"]
                subprocess.run(["g++", *options, "-o", str(path)], input=text, text=True, check=True)
            self._modules[text] = HostModule(ctypes.CDLL(str(path)))
        return self._modules[text]
