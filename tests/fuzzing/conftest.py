"""`fuzz` lies beside `src` and is not installed: tests find it as `python -m fuzz` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
