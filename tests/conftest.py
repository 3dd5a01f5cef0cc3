"""Shared by all tests: the plain-Python specification is importable, progress bars are off."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TRAJLIB_PROGRESS", "off")
sys.path.insert(0, str(Path(__file__).parent))
