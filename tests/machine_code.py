"""Shared by the tests that compile for another processor: code run in a process of its own, and proof that it was compiled for that one."""

import os
import subprocess
import sys

import llvmlite.binding
import pytest

WIDEST = {"generic": "xmm", "haswell": "ymm"}
"""The vector registers of a plain x86-64 (SSE2: no AVX, no FMA), and of a processor with AVX2 and FMA but without AVX-512."""
REPORT = """
import re
from trajlib.engines.fused import cpu
kernels = [text for kernel in cpu._kernels.values() for text in kernel.inspect_asm().values()]
print(max(re.findall(r"\\b([xyz]mm)\\d", "".join(kernels)), default="none"))
"""


def printed_on(processor: str, code: str, cache) -> str:
    """What ``code`` prints where Numba compiles for ``processor``, with an empty folder ``cache`` for the machine code.

    The name of a processor alone does not do: Numba goes on to use the features of the one it runs on, unless they are named too (none:
    those that the name stands for). So the kernels that ``code`` has compiled must use the registers of ``processor``, and no wider ones.
    """
    host = llvmlite.binding.get_host_cpu_features()
    if not llvmlite.binding.get_process_triple().startswith("x86_64"):
        pytest.skip("needs an x86-64 processor")
    if processor == "haswell" and not (host.get("avx2") and host.get("fma")):
        pytest.skip("needs a processor with AVX2 and FMA")
    environment = os.environ | {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", code + REPORT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *lines, widest = done.stdout.splitlines()
    assert widest == WIDEST[processor]
    return "\n".join(lines)
