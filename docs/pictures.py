"""Takes the pictures of the README anew, in a real browser, and keeps them: `python docs/pictures.py`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the test that takes them; copy what it has taken."""
    test = ROOT / "tests/browser/readme_pictures.py"
    code = subprocess.run([sys.executable, "-m", "pytest", str(test)], cwd=ROOT, check=False).returncode
    if code == 0:
        kept = ROOT / "docs/images"
        kept.mkdir(exist_ok=True)
        for file in (ROOT / "artifacts").glob("readme-*.png"):
            shutil.copy(file, kept / file.name.removeprefix("readme-"))
    return code


if __name__ == "__main__":
    sys.exit(main())
