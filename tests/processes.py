"""A fresh Python that finds the very package under test, wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import decaf

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(decaf.__file__).resolve().parents[1])}


def python(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run Python with these arguments and capture what it prints."""
    options = {"env": ENVIRONMENT, "timeout": 60, **options}
    return subprocess.run([sys.executable, *arguments], capture_output=True, **options)
