"""``python -m decaf``: the same as the command ``decaf``."""

from __future__ import annotations

import sys

from decaf.cli import main

if __name__ == "__main__":  # not when a process pool imports this file again
    sys.exit(main())
