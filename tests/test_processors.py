"""The inner loops in C, with other compilers and on other processors than the one at hand.

``processors/check_tiles.c`` holds them against plain loops in double precision, without Python.
Here it is compiled with every compiler that there is, and run, in an emulator where need be.
"""

from __future__ import annotations

import ast
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "tests" / "processors" / "check_tiles.c"
# C99 without extensions, apart from those behind __GNUC__; a warning is an error.
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
X86_64 = platform.machine().lower() in ("x86_64", "amd64")


@dataclass(frozen=True)
class Build:
    """A compiler with its options, what runs the program, and the instruction sets it may find."""

    compiler: str
    options: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    sets: frozenset[str] = frozenset({"avx512", "avx2", "baseline"})
    only_x86_64: bool = False


BASELINE = frozenset({"baseline"})
BUILDS = {
    "cc": Build("cc"),
    "clang": Build("clang"),
    # What a compiler without vector extensions gets, as Microsoft's; __forceinline is its word.
    "plain C": Build("cc", ("-DDECAF_PLAIN_C", "-D__forceinline=inline"), sets=BASELINE),
    # Stops at the first access beyond an array, and at undefined behaviour.
    "sanitizers": Build("cc", ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")),
    "aarch64": Build("aarch64-linux-gnu-gcc", ("-static",), ("qemu-aarch64",), BASELINE),
    "x86-64 without AVX": Build(
        "cc", emulator=("qemu-x86_64", "-cpu", "Nehalem"), sets=BASELINE, only_x86_64=True
    ),
    "x86-64 without AVX-512": Build(
        "cc",
        emulator=("qemu-x86_64", "-cpu", "Haswell"),
        sets=BASELINE | {"avx2"},  # old emulators have no AVX2
        only_x86_64=True,
    ),
}


def build_flags() -> list[str]:
    """Return the flags for GCC and clang with which setup.py compiles the kernels."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GNU_FLAGS":
            return list(ast.literal_eval(node.value))
    raise LookupError("setup.py has no GNU_FLAGS")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def skip_unless_usable(build: Build, tmp_path: Path) -> None:
    """Skip unless the empty program can be compiled and run."""
    if build.only_x86_64 and not X86_64:
        pytest.skip("the compiler is not one for x86-64")
    for tool in (build.compiler, *build.emulator[:1]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    empty, program = tmp_path / "empty.c", tmp_path / "empty"
    empty.write_text("int main(void) { return 0; }\n")
    done = run(build.compiler, *build.options, empty, "-o", program)
    if done.returncode == 0:
        done = run(*build.emulator, program)
    if done.returncode != 0:
        pytest.skip(f"{build.compiler} {build.options} does not work: {done.stderr.strip()}")


@pytest.mark.parametrize("name", BUILDS)
def test_inner_loops_agree_with_double_precision(name: str, tmp_path: Path) -> None:
    build, program = BUILDS[name], tmp_path / "check_tiles"
    skip_unless_usable(build, tmp_path)
    include = f"-I{ROOT / 'decaf' / '_kernels'}"
    flags = [*build_flags(), *STRICT, *build.options, include]
    compiled = run(build.compiler, *flags, SOURCE, "-o", program, "-lm")
    assert compiled.returncode == 0, compiled.stderr
    checked = run(*build.emulator, program)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = {line.split()[0] for line in checked.stdout.splitlines()}
    assert BASELINE <= found <= build.sets, checked.stdout
