"""A rival's side of the conversation with bench/rivals/visit.py: one JSON line asks for a row, one JSON line answers.

Only the standard library: this runs in environments that have nothing else in common.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(measure: Callable[[str, int, float], dict[str, Any]]) -> None:
    """Answer each {"row", "runs", "seconds"} with what `measure` returns, or with why there is nothing."""
    # Libraries print as they like: their standard output goes to standard error, ours stays clean.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = measure(asked["row"], asked["runs"], asked["seconds"])
        except Exception as error:  # a row that a rival cannot do is a result too
            answer = {"why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps({"row": asked["row"], **answer}), file=answers)
