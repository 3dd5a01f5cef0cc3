"""A GPU through NVIDIA's driver library alone: memory, compiled kernels, launches. No package for CUDA has to be installed.

What is needed is the driver (``libcuda``), which every machine with an NVIDIA GPU has, and the run-time compiler NVRTC, which comes with
PyTorch's CUDA builds, with CuPy, with the toolkit, or by itself as ``nvidia-cuda-nvrtc``.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
import sys
from collections.abc import Sequence
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Buffer", "Card", "ComputeError", "compile_ptx", "open_device", "why_not"]

OPTIONS = ("--fmad=false", "--std=c++17", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")
"""No contraction of a product and a sum into one operation; division and square root as IEEE 754 says."""


class ComputeError(RuntimeError):
    """A call of the driver or of the compiler failed."""


@cache
def _library(kind: str) -> ctypes.CDLL | None:
    """libcuda or libnvrtc, or None."""
    for name in _candidates(kind):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _candidates(kind: str) -> list[str]:
    windows = sys.platform == "win32"
    if kind == "cuda":
        return ["nvcuda.dll"] if windows else ["libcuda.so.1", "libcuda.so"]
    names, places = [], []
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13", "nvidia.cu12", "torch"):
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            places += [f"{folder}/lib", f"{folder}/bin"]
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    places += [f"{home}/lib64", f"{home}/bin"] if home else []
    for place in places:
        pattern = "nvrtc64_*.dll" if windows else "libnvrtc.so*"
        names += sorted(
            path for path in glob.glob(str(Path(place) / pattern)) if "builtins" not in path and ".alt." not in path
        )
    found = find_library("nvrtc")
    return names + ([found] if found else []) + ([] if windows else ["libnvrtc.so"])


def why_not() -> str | None:
    """What is missing for a GPU to be used, in words; None where nothing is."""
    cuda = _library("cuda")
    if cuda is None:
        return "there is no NVIDIA driver here (libcuda was not found)"
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver sees no GPU here"
    if _library("nvrtc") is None:
        return "the compiler NVRTC was not found: pip install nvidia-cuda-nvrtc (a CUDA build of PyTorch has it)"
    return None


def compile_ptx(text: str, architecture: str) -> str:
    """PTX of a source, for an architecture such as ``"compute_80"``; needs no GPU.

    Raises
    ------
    ComputeError
        If NVRTC is missing, or the text does not compile; with what the compiler says.
    """
    nvrtc = _library("nvrtc")
    if nvrtc is None:
        raise ComputeError(
            "the compiler NVRTC was not found: pip install nvidia-cuda-nvrtc (a CUDA build of PyTorch has it)"
        )
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = (*OPTIONS, f"--gpu-architecture={architecture}")
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"step.cu", 0, None, None)
    failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
    read = (
        (nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
        if failed
        else (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    )
    read[0](program, ctypes.byref(size))
    found = ctypes.create_string_buffer(size.value)
    read[1](program, found)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise ComputeError(f"NVRTC refused the kernels for {architecture}: {found.value.decode(errors='replace')}")
    return found.value.decode()


class Buffer:
    """An array on the device, or the part of one from an entry on."""

    def __init__(self, device: Any, address: int, shape: tuple[int, ...], dtype: np.dtype, owner: Any = None):
        self.device, self.address, self.shape, self.dtype, self._owner = device, address, shape, dtype, owner

    def at(self, entry: int) -> Buffer:
        """The same from entry number ``entry`` on."""
        return Buffer(self.device, self.address + entry * self.dtype.itemsize, self.shape, self.dtype, self)

    def numpy(self) -> np.ndarray:
        """A copy on this side."""
        out = np.empty(self.shape, dtype=self.dtype)
        self.device.fetch(out, self.address)
        return out

    def copy_from(self, other: Buffer, entry: int) -> None:
        """Overwrite what lies from ``entry`` on with all of another buffer."""
        size = int(np.prod(other.shape)) * self.dtype.itemsize
        self.device.copy(self.address + entry * self.dtype.itemsize, other.address, size)

    def __del__(self):
        if (
            self._owner is None and self.address and not sys.is_finalizing()
        ):  # at the end the driver frees all by itself
            self.device.free(self.address)


class Module:
    """Compiled kernels on a card."""

    def __init__(self, card: Card, handle: ctypes.c_void_p):
        self._card, self._handle = card, handle

    def launch(self, kernel: str, rows: int, grid: int, block: int, shared: int, arguments: Sequence[Any]) -> None:
        """Start a kernel; arguments are buffers, None for a null pointer, ints, or ctypes structures."""
        function = ctypes.c_void_p()
        call = self._card.call
        call("cuModuleGetFunction", ctypes.byref(function), self._handle, kernel.encode())
        values = [_value(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        call("cuLaunchKernel", function, grid, 1, 1, block, 1, 1, shared, None, pointers, None)


def _value(argument: Any) -> Any:
    """A kernel's argument as ctypes holds it."""
    if argument is None:
        return ctypes.c_uint64(0)
    if isinstance(argument, Buffer):
        return ctypes.c_uint64(argument.address)
    return ctypes.c_int(int(argument)) if isinstance(argument, int | np.integer) else argument


class Card:
    """A GPU and its primary context, which it shares with PyTorch and CuPy."""

    shared = 48 * 1024
    """Bytes of shared memory that every card gives to a block without being asked."""

    def __init__(self, number: int):
        self._cuda: Any = _library("cuda")
        self._modules: dict[str, Module] = {}
        device, context, name = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(128)
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), number)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context, self._number = context, device
        self.call("cuDeviceGetName", name, 128, device)
        self.name = name.value.decode()
        self.architecture = f"compute_{self._attribute(75)}{self._attribute(76)}"
        # multiprocessors, kilohertz, single to double precision ratio: 128 single-precision operations a clock each
        self.operations_per_second = (
            self._attribute(16) * self._attribute(13) * 1e3 * 128.0 / max(1, self._attribute(87))
        )

    def _attribute(self, which: int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), which, self._number)
        return value.value

    def call(self, name: str, *arguments: Any) -> None:
        """Call the driver.

        Raises
        ------
        ComputeError
            With the driver's own words.
        """
        if name not in ("cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"):
            self._cuda.cuCtxSetCurrent(self._context)
        function = getattr(self._cuda, name + "_v2" if name.startswith("cuMem") else name)
        if error := function(*arguments):
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(error, ctypes.byref(text))
            raise ComputeError(
                f"{name} failed on {getattr(self, 'name', 'the GPU')}: {(text.value or b'unknown error').decode()}"
            )

    def array(self, values: np.ndarray) -> Buffer:
        """A copy of an array on the card."""
        values = np.ascontiguousarray(values)
        buffer = self._allocate(values.shape, values.dtype)
        if values.size:
            self.call(
                "cuMemcpyHtoD",
                ctypes.c_uint64(buffer.address),
                ctypes.c_void_p(values.ctypes.data),
                ctypes.c_size_t(values.nbytes),
            )
        return buffer

    def zeros(self, entries: int) -> Buffer:
        """So many zeros on the card."""
        buffer = self._allocate((entries,), np.dtype(float))
        if entries:
            self.call("cuMemsetD8", ctypes.c_uint64(buffer.address), ctypes.c_ubyte(0), ctypes.c_size_t(8 * entries))
        return buffer

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> Buffer:
        address, size = ctypes.c_uint64(), int(np.prod(shape)) * dtype.itemsize
        if size:
            self.call("cuMemAlloc", ctypes.byref(address), ctypes.c_size_t(size))
        return Buffer(self, address.value, shape, dtype)

    def free(self, address: int) -> None:
        """Give memory back."""
        self.call("cuMemFree", ctypes.c_uint64(address))

    def fetch(self, out: np.ndarray, address: int) -> None:
        """Copy from the card."""
        if out.size:
            self.call(
                "cuMemcpyDtoH", ctypes.c_void_p(out.ctypes.data), ctypes.c_uint64(address), ctypes.c_size_t(out.nbytes)
            )

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy on the card."""
        if size:
            self.call("cuMemcpyDtoD", ctypes.c_uint64(to), ctypes.c_uint64(source), ctypes.c_size_t(size))

    def synchronize(self) -> None:
        """Wait for all launches."""
        self.call("cuCtxSynchronize")

    def compiled(self, text: str) -> Module:
        """The kernels of a source, compiled once."""
        if text not in self._modules:
            handle, ptx = ctypes.c_void_p(), compile_ptx(text, self.architecture)
            self.call("cuModuleLoadData", ctypes.byref(handle), ctypes.c_char_p(ptx.encode()))
            self._modules[text] = Module(self, handle)
        return self._modules[text]


@cache
def _card(number: int) -> Card:
    return Card(number)


def open_device(name: str | None) -> Any:
    """The GPU called ``"cuda"`` or ``"cuda:1"``; the first for None.

    Raises
    ------
    ValueError
        If there is none; the message says what is missing.
    """
    if why := why_not():
        raise ValueError(f"engine='cuda' needs an NVIDIA GPU, and {why}; engine='cpu' gives the same bits")
    return _card(int(str(name).partition(":")[2] or 0))
