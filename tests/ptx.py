"""PTX, NVIDIA's virtual assembly, as a C program of this machine: instruction by instruction, lane after lane.

What a GPU would be given is run without one. An instruction that is not one IEEE operation (fma, an approximation, a product or a sum
without its rounding spelt out, which the assembler might contract) is refused, and so is every instruction that is not listed here. The
lanes of a block run in turn, each from barrier to barrier.
"""

import ctypes
import re
from pathlib import Path

from host_device import MODULES, HostDevice, shared_object

from trajlib.engines.cuda.driver import compile_ptx

TYPES = {"f64": "double", "pred": "uint8_t"}
TYPES |= {f"{kind}{bits}": f"{'' if kind == 's' else 'u'}int{bits}_t" for kind in "bus" for bits in (8, 16, 32, 64)}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}
ORDERED = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "lo": "<",
    "hi": ">",
    "ls": "<=",
    "hs": ">=",
}
OPPOSITE = {"ltu": ">=", "gtu": "<=", "leu": ">", "geu": "<"}  # of the unordered comparisons: not the ordered opposite
SPECIAL = {"%tid.x": "tid", "%ntid.x": "ntid", "%ctaid.x": "ctaid"}
SHARED = 1 << 17

HEAD = """#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static inline double dbl(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
static inline uint64_t bits(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
"""


class Refused(Exception):
    """An instruction whose result IEEE 754 does not prescribe, or that is not known here."""


class Entry:
    """One kernel on its way into C."""

    def __init__(self, name: str, parameters: str, body: str):
        self.name = name
        self.parameters = re.findall(r"\.param [^,]*?(\w+)(?:\[\d+\])?\s*(?=,|$)", parameters)
        self.registers: dict[str, int] = {}
        self.barriers, self.lines = 0, []
        for line in re.sub(r"//.*", "", body).splitlines():
            for statement in line.split(";"):
                self.statement(re.sub(r"^[{}\s]+|^\}$", "", statement.strip()))

    def register(self, name: str) -> str:
        """A register's place: all are 64 bits wide here."""
        return f"L->r[{self.registers.setdefault(name, len(self.registers))}]"

    def read(self, operand: str, kind: str) -> str:
        """An operand as C of a PTX type."""
        if operand.startswith("0d"):
            value = f"0x{operand[2:]}ull"
        elif operand in SPECIAL:
            value = SPECIAL[operand]
        elif operand.startswith("%"):
            value = self.register(operand)
        elif operand.startswith("shared_"):
            value = "(uint64_t)S"
        elif re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)U?", operand):
            value = operand.rstrip("U") + "ll"
        else:
            raise Refused(f"operand {operand}")
        return f"dbl({value})" if kind == "f64" else f"({TYPES[kind]})({value})"

    def write(self, operand: str, value: str, kind: str) -> str:
        return f"{self.register(operand)} = " + (
            f"bits({value});" if kind == "f64" else f"(uint64_t)({TYPES[kind]})({value});"
        )

    def address(self, operand: str) -> str:
        name, _, offset = operand.strip("[]").partition("+")
        if name in self.parameters:
            return f"((char *)A[{self.parameters.index(name)}] + {offset or 0})"
        wide = "b32" if re.match(r"%r\d", name) else "b64"
        return f"((char *)(uint64_t){self.read(name, wide)} + ({offset or 0}))"

    def statement(self, line: str) -> None:
        if not line or line.startswith((".reg", ".pragma", ".loc", ".max", ".min", ".file")):
            return
        if label := re.fullmatch(r"(\$?\w+):(.*)", line):
            self.lines.append(f"{label[1].replace('$', '_')}:;")
            return self.statement(label[2].strip())
        guard, condition = re.match(r"@(!?)(%p\d+)\s+", line), ""
        if guard:
            line = line[guard.end() :]
            condition = f"if ({guard[1]}{self.register(guard[2])}) "
        opcode, _, rest = re.sub(r"\s+", " ", line).partition(" ")
        self.lines.append(f"{condition}{{ {self.instruction(opcode, rest)} }}")
        return None

    def instruction(self, opcode: str, rest: str) -> str:
        operation, *parts = opcode.split(".")
        kind = parts[-1] if parts else ""
        vector = re.findall(r"\{([^}]*)\}", rest)
        a = [x.strip() for x in re.split(r",(?![^{]*\})", rest)] if rest else []
        if operation in ("ret", "exit"):
            return "return -1;"
        if operation == "bra":
            return f"goto {a[0].replace('$', '_')};"
        if operation in ("bar", "barrier"):
            self.barriers += 1
            return f"return {self.barriers}; RESUME{self.barriers}:;"
        if operation in ("ld", "st"):
            names = [x.strip() for x in (vector[0].split(",") if vector else [a[0] if operation == "ld" else a[1]])]
            size, place = int(kind[1:]) // 8, self.address(a[-1] if operation == "ld" else a[0])
            where = [f"*({TYPES[kind]} *)({place} + {i * size})" for i in range(len(names))]
            if operation == "ld":
                return " ".join(self.write(n, w, kind) for n, w in zip(names, where, strict=True))
            return " ".join(f"{w} = {self.read(n, kind)};" for n, w in zip(names, where, strict=True))
        x = (
            [self.read(operand, kind) for operand in a[1:]]
            if operation not in ("setp", "selp", "cvt", "cvta", "bfi")
            else []
        )
        if operation == "mov":
            return self.write(a[0], x[0], kind)
        if operation == "cvta":
            return self.write(a[0], self.read(a[1], kind), kind)
        if operation == "cvt":
            return self.convert(a, parts)
        if operation == "setp":
            return self.write(a[0], self.compared(parts[0], self.read(a[1], kind), self.read(a[2], kind), kind), "pred")
        if operation == "selp":
            chosen = f"{self.read(a[3], 'pred')} ? {self.read(a[1], kind)} : {self.read(a[2], kind)}"
            return self.write(a[0], chosen, kind)
        if kind == "f64":
            return self.write(a[0], self.ieee(operation, parts, x), kind)
        return self.write(a[0], *self.integer(operation, parts, kind, a, x))

    @staticmethod
    def ieee(operation: str, parts: list[str], x: list[str]) -> str:
        """One operation in double precision."""
        if operation == "neg":
            return f"-({x[0]})"
        if parts != ["rn", "f64"]:
            raise Refused(f"{operation}.{'.'.join(parts)}: its rounding is not spelt out")
        if operation in ("add", "sub", "mul", "div"):
            return f"{x[0]} {ARITHMETIC[operation]} {x[1]}"
        if operation == "rcp":
            return f"1.0 / {x[0]}"
        if operation == "sqrt":
            return f"sqrt({x[0]})"
        raise Refused(f"{operation}.{'.'.join(parts)} is not one IEEE operation")

    def convert(self, a: list[str], parts: list[str]) -> str:
        to, source = parts[-2:]
        if "f64" in (to, source) and not (to == "f64" and source in ("s32", "u32")):
            raise Refused(f"cvt.{'.'.join(parts)}")
        return self.write(a[0], self.read(a[1], source), to)

    @staticmethod
    def compared(how: str, x: str, y: str, kind: str) -> str:
        if kind == "f64" and how == "ne":  # ordered: false for nan
            return f"({x} < {y}) || ({x} > {y})"
        if kind == "f64" and how in ("equ", "neu"):
            return f"{x} != {y}" if how == "neu" else f"!(({x} < {y}) || ({x} > {y}))"
        if how in OPPOSITE:
            return f"!({x} {OPPOSITE[how]} {y})"
        if how not in ORDERED:
            raise Refused(f"setp.{how}.{kind}")
        return f"{x} {ORDERED[how]} {y}"

    def integer(self, operation: str, parts: list[str], kind: str, a: list[str], x: list[str]) -> tuple[str, str]:
        """An operation on integers or predicates: C, and the type of what it gives."""
        if operation in ("mul", "mad"):
            wide = kind.replace("32", "64") if parts[0] == "wide" else kind
            if parts[0] not in ("lo", "wide"):
                raise Refused(f"{operation}.{'.'.join(parts)}")
            product = f"({TYPES[wide]})({x[0]}) * ({TYPES[wide]})({x[1]})"
            return (product if operation == "mul" else f"{product} + {self.read(a[3], wide)}"), wide
        if operation in ("shl", "shr"):
            count, bits = self.read(a[2], "u32"), int(kind[1:])
            return f"{count} >= {bits} ? 0 : {x[0]} {'<<' if operation == 'shl' else '>>'} {count}", kind
        if operation == "not":
            return (f"!({x[0]})" if kind == "pred" else f"~({x[0]})"), kind
        if operation in ("neg", "abs"):
            return (f"-({x[0]})" if operation == "neg" else f"({x[0]}) < 0 ? -({x[0]}) : ({x[0]})"), kind
        if operation in ("min", "max"):
            return f"({x[0]} {'<' if operation == 'min' else '>'} {x[1]}) ? {x[0]} : {x[1]}", kind
        if operation == "bfi":  # insert the low bits of a into b
            low, base = self.read(a[1], kind), self.read(a[2], kind)
            mask = f"((((({TYPES[kind]})1) << {self.read(a[4], 'u32')}) - 1) << {self.read(a[3], 'u32')})"
            return f"({base} & ~{mask}) | (({low} << {self.read(a[3], 'u32')}) & {mask})", kind
        if operation in ARITHMETIC:
            return f"{x[0]} {ARITHMETIC[operation]} {x[1]}", kind
        raise Refused(f"{operation}.{'.'.join(parts)}")

    def text(self) -> str:
        resume = " ".join(f"case {i}: goto RESUME{i};" for i in range(1, self.barriers + 1))
        body, name = "\n".join(self.lines), self.name
        return f"""
typedef struct {{ uint64_t r[{max(1, len(self.registers))}]; int pc; }} {name}_lane;
static int {name}_go({name}_lane *L, void **A, char *S, uint32_t tid, uint32_t ntid, uint32_t ctaid) {{
switch (L->pc) {{ {resume} }}
{body}
return -1;
}}
void {name}_launch(void **A, int grid, int block) {{
  {name}_lane *L = malloc(block * sizeof({name}_lane));
  char *S = mmap(0, {SHARED}, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  for (int b = 0; b < grid; ++b) {{
    memset(L, 0, block * sizeof({name}_lane)); memset(S, 0xff, {SHARED});
    for (int alive = 1; alive;) {{ alive = 0;
      for (int i = 0; i < block; ++i)
        if (L[i].pc >= 0) {{ L[i].pc = {name}_go(L + i, A, S, i, block, b); alive |= L[i].pc >= 0; }} }}
  }}
  free(L); munmap(S, {SHARED});
}}
"""


def translated(ptx: str) -> str:
    """The kernels of a PTX file as C."""
    entries = re.findall(r"\.entry (\w+)\((.*?)\)[^{]*\{(.*?)\n\}", ptx, re.S)
    return HEAD + "".join(Entry(*entry).text() for entry in entries)


def built(ptx: str) -> Path:
    """The kernels of a PTX file as a shared object of this machine."""
    options = ["-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-w"]
    return shared_object(["gcc", "-O1", *options, "-x", "c", "-"], translated(ptx))


class PtxModule:
    def __init__(self, library):
        self._library = library

    def launch(self, kernel, rows, grid, block, shared, arguments):
        values = []
        for argument in arguments:
            if argument is None:
                values.append(ctypes.c_uint64(0))
            elif hasattr(argument, "address"):
                values.append(ctypes.c_uint64(argument.address))
            else:
                values.append(ctypes.c_int(argument) if isinstance(argument, int) else argument)
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        getattr(self._library, f"{kernel}_launch")(pointers, grid, block)


class PtxDevice(HostDevice):
    """A device that runs the PTX for an architecture."""

    shared = 48 * 1024

    def __init__(self, architecture: str):
        super().__init__()
        self.architecture, self.name = architecture, f"PTX for {architecture}"

    def compiled(self, text):
        key = self.architecture, text
        if key not in MODULES:
            MODULES[key] = PtxModule(ctypes.CDLL(str(built(compile_ptx(text, self.architecture)))))
        return MODULES[key]
