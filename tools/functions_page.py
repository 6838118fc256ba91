"""docs/generated/functions.md from the catalogue of functions. Without arguments: fail if it is stale.

`--write` measures every function anew, a few minutes, and writes the page. Without it nothing is measured: the page
must say what the catalogue says, and no figure on it may be beyond its bound.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # errors are measured with the model that the tests use

from kit.accuracy import Errors, measured  # noqa: E402
from tacit.functions.catalogue import PROMISES, Promise  # noqa: E402

PAGE = ROOT / "docs" / "generated" / "functions.md"
FRAC_BITS = (12, 16, 20, 24)
POINTS = 300_000

HEAD = """# Functions of secret numbers

Written by `tools/functions_page.py` from `src/tacit/functions/catalogue.py`; `make docs` measures and writes it anew.

Every value that encoding accepts may go in. Inside its domain a function is as exact as its bound says; outside it
gives what the table says and never wraps. *Rounds* are those under `masked`, where all elements of a tensor share them.

| function | what it is | domain at 16 fraction bits | outside | rounds |
|---|---|---|---|---|
"""

ERRORS = """
## Errors

In units of the last fraction bit, against float64, under fresh random masks: on about {points} points, half of them
within 20 of 0 (*mean* is over these), the others log-uniform to the end of the domain, at powers of two and one unit
beside them. Where a bound grows with the result y, errors are divided by the larger of 1 and |y|. *Used* is the largest
part of the bound that an error came to.
Rounding alone, which is random, errs by less than 1 and by 1/3 on average; where a result is exact there is none.

| function | fraction bits | bound | largest | mean | used |
|---|---|---|---|---|---|
"""

ROW = re.compile(r"\| `(?P<name>[^`]+)` \| (?P<bits>\d+) \| [^|]+ \| (?P<figures>[\d.]+ \| [\d.]+ \| \d+ %) \|")
Figures = dict[tuple[str, int], str]


def page(figures: Figures) -> str:
    """The whole page."""
    return (
        HEAD
        + "".join(_summary(promise) for promise in PROMISES)
        + ERRORS.format(points=f"{POINTS:,}")
        + "".join(
            f"| `{promise.name}` | {bits} | {_cell(str(promise.bound(bits)))} | {figures[promise.name, bits]} |\n"
            for promise, bits in _cases()
        )
    )


def stale(text: str) -> list[str]:
    """What is wrong with the text of the page."""
    figures = {(row["name"], int(row["bits"])): row["figures"] for row in ROW.finditer(text)}
    missing = [f"no figures for {p.name} at {bits} bits" for p, bits in _cases() if (p.name, bits) not in figures]
    beyond = [f"{name} at {bits} bits is beyond its bound" for (name, bits), row in figures.items() if _beyond(row)]
    return missing or beyond or ([] if text == page(figures) else ["it does not say what the catalogue says"])


def _cases() -> Iterator[tuple[Promise, int]]:
    return ((promise, bits) for promise in PROMISES for bits in FRAC_BITS)


def _summary(promise: Promise) -> str:
    domain = ", ".join(_range(*ends) for ends in promise.domain(16))
    return f"| `{promise.name}` | {_cell(promise.formula)} | {domain} | {_cell(promise.outside)} | {promise.rounds} |\n"


def _range(low: float, high: float) -> str:
    if low == -float("inf"):
        return "all" if high == float("inf") else f"up to {high:g}"
    return f"from {low:.4g}" if high == float("inf") else f"{low:.4g} to {high:.4g}"


def _figures(errors: Errors) -> str:
    return f"{errors.largest:.2f} | {errors.mean:.2f} | {100 * errors.share:.0f} %"


def _beyond(figures: str) -> bool:
    return int(figures.split("|")[-1].strip(" %")) > 100


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """0 if the page is fresh, or was written."""
    if arguments == ["--write"]:
        figures = {(promise.name, bits): _figures(measured(promise, bits, POINTS)) for promise, bits in _cases()}
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(figures), encoding="utf-8")
    elif arguments:
        print(__doc__)
        return 2
    faults = stale(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else ["it is missing"]
    for fault in faults:
        print(f"{PAGE.name}: {fault}: run  make docs  and commit the page")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
