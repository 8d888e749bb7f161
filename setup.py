"""Build the compiled kernels, and put the default network into the package.

All metadata is in pyproject.toml.  Two environment variables change a build:

* ``DECAF_NO_KERNELS=1`` skips the kernels: the package then computes with NumPy alone.
* ``DECAF_DEBUG_KERNELS=1`` switches on the bounds checks in the kernels.  Build it apart
  (``--build-lib``, ``--build-temp``), as ``make test`` does: setuptools compares dates, not
  settings, so it takes kernels that were built with other settings for up to date.
"""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import BaseError, CCompilerError, FileError

# One line a kernel: decaf/_kernels/<name>.pyx becomes decaf._kernels.<name>.
KERNELS = (
    "concat",
    "conv",
    "crew",
    "dropout",
    "im2col",
    "isa",
    "linear",
    "lrn",
    "pool",
    "relu",
    "reorder",
    "softmax",
    "winograd",
)

# Nothing that ties the result to the machine that compiles (-march=native), and nothing
# that lets the compiler change the order of a sum (-ffast-math): either would break the
# promise of the same answer every time.
GNU_FLAGS = ["-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
COMPILE_FLAGS = {
    "unix": GNU_FLAGS,
    "mingw32": GNU_FLAGS,
    "msvc": ["/O2"],
}

CHECKED = os.environ.get("DECAF_DEBUG_KERNELS") == "1"
DIRECTIVES = {
    "language_level": 3,
    "cdivision": True,
    "boundscheck": CHECKED,
    "wraparound": CHECKED,
    "initializedcheck": CHECKED,
}

DEFAULT_WEIGHTS = "weights/decaf-mini.h5"  # kept once; decaf/_data/ exists only in what is built


def kernels() -> list[Extension]:
    """Return the extensions to build, all optional: NumPy answers where one is missing."""
    if os.environ.get("DECAF_NO_KERNELS") == "1":
        return []
    return [
        Extension(
            f"decaf._kernels.{name}",
            [f"decaf/_kernels/{name}.pyx"],
            include_dirs=["decaf/_kernels"],
            depends=sorted(glob("decaf/_kernels/*.h")),
            optional=True,
        )
        for name in KERNELS
    ]


class BuildKernels(build_ext):
    """Translate and compile the kernels in parallel; say it in one line when that fails."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        self.failed: list[str] = []
        super().run()
        if self.failed:
            print(
                f"decaf: {len(self.failed)} of {len(self.extensions)} kernels were NOT built, so "
                "decaf will compute with NumPy, slowly. Install a C compiler and Cython 3.1 or "
                "later and build again (`make build`, or `pip install --force-reinstall`).",
                flush=True,
            )

    def build_extensions(self) -> None:
        try:
            from Cython.Build import cythonize
        except ImportError:
            self.failed = [ext.name for ext in self.extensions]
            return
        # The C files go to the build directory: the source tree stays clean, and builds with
        # different directives do not mistake each other's files for their own.
        translated = cythonize(
            self.extensions,
            build_dir=self.build_temp,
            compiler_directives=DIRECTIVES,
            nthreads=self.parallel,
            quiet=True,
        )
        for ext, c_ext in zip(self.extensions, translated, strict=True):
            ext.sources = c_ext.sources
            ext.extra_compile_args = COMPILE_FLAGS.get(self.compiler.compiler_type, [])
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (CCompilerError, BaseError):  # the compiler has said why, if there is one
            self.failed.append(ext.name)


class BuildPackage(build_py):
    """Copy the default network into what is built; an editable install reads it in place."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not Path(DEFAULT_WEIGHTS).is_file():
            raise FileError(f"{DEFAULT_WEIGHTS} is missing: a decaf without it has no default")
        target = self._default_weights_target()
        self.mkpath(str(target.parent))
        self.copy_file(DEFAULT_WEIGHTS, str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), str(self._default_weights_target())]

    def _default_weights_target(self) -> Path:
        return Path(self.build_lib, "decaf", "_data", Path(DEFAULT_WEIGHTS).name)


if __name__ == "__main__":  # translating in parallel may import this file again
    setup(
        ext_modules=kernels(),
        cmdclass={"build_ext": BuildKernels, "build_py": BuildPackage},
    )
