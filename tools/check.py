"""The whole ritual before a commit: style, types, floors, forbidden calls, generated pages. About a minute.

Every step runs, also after one failed, so that one call shows all there is to mend.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

STEPS = {
    "style": [BIN / "ruff", "check", "."],
    "types": [BIN / "mypy"],
    "floors": [BIN / "lint-imports", "--no-cache"],
    "forbidden calls": [sys.executable, "tools/forbidden.py"],
    "page of operators": [sys.executable, "tools/ops_page.py"],
    "page of functions": [sys.executable, "tools/functions_page.py"],
}


def main() -> int:
    """Run every step; 1 if any failed."""
    failed = []
    for name, command in STEPS.items():
        begun = time.monotonic()
        done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"{name:18} {verdict:7} {time.monotonic() - begun:5.1f} s", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout + done.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
