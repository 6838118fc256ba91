"""Which program a party is about to run: its script and every file it imports from the script's own folder.

Parties compare digests of these files before anything is shared, so that each knows that the code it read is the code
that the others run. Found by reading import statements, not by running them: the answer is the same at every party,
whatever each of them imports first. Not covered: files reached by importlib or opened as data.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from tacit.crypto.primitives import digest
from tacit.errors import DataError, JobError, Misuse, StorageTrouble


def program_files(script: Path) -> dict[str, str]:
    """{path relative to the script's folder: digest of the file, in hexadecimal}, in sorted order."""
    folder = script.absolute().parent
    found: dict[Path, bytes] = {}
    waiting = [script.absolute()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = _read(path)
        waiting += [target for name in _imports(path, found[path]) for target in _resolve(folder, path.parent, name)]
    return {str(path.relative_to(folder)): digest(content).hex() for path, content in sorted(found.items())}


class FromSource(importlib.machinery.SourceFileLoader):
    """Loads a module from its source, whatever bytecode lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file itself: __pycache__ may hold bytecode of another source."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class OnlyTheProgram:
    """An import hook: from the script's folder nothing is loaded but the files that were compared, as they were.

    Without it the digest would cover the sources while something else runs: bytecode left in __pycache__, a compiled
    module that wins over a .py file, a module found by importlib, a file changed after it was read.
    """

    def __init__(self, script: Path, files: Mapping[str, str]) -> None:
        self._script = script.absolute()
        self._folder = self._script.parent
        self._files = files
        self._packages: set[str] = set()  # those that lie in the folder

    def install(self) -> None:
        """Check the script itself, and watch every import from now on."""
        self._check(self._script, self._script.name)
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system; None leaves the import to the finders behind this one."""
        if path is not None and name.partition(".")[0] not in self._packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        if spec is None or not self._is_ours(spec.origin, places, top=path is None):
            return None
        if places:
            self._packages.add(name.partition(".")[0])
        if spec.origin is None:  # a folder without __init__.py: nothing to run yet
            return None
        self._check(Path(spec.origin), name)
        loader = FromSource(name, spec.origin)
        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=loader, submodule_search_locations=places or None
        )

    def _is_ours(self, origin: str | None, places: Sequence[str], *, top: bool) -> bool:
        """Whether a module was found in the folder itself, rather than in an environment that happens to lie in it."""
        if not top:
            return True
        found = [Path(place) for place in places] or ([Path(origin)] if origin is not None else [])
        return any(place.parent == self._folder for place in found)

    def _check(self, path: Path, name: str) -> None:
        known = self._files.get(str(path.relative_to(self._folder)))
        if known is None:
            raise JobError(
                f"the program imports {name} from {path.name}, which is not among the files that the parties compare",
                hint="import it by a plain import statement in a .py file of the program's folder, or install it",
            )
        if digest(_read(path)).hex() != known:
            raise Misuse(f"{path.name} changed after the program was read", hint="start again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageTrouble(f"cannot read the program {path}: {error.strerror}", hint="check the path") from None


def _imports(path: Path, content: bytes) -> list[tuple[int, str]]:
    """(level, dotted name) of every import statement; `from a import b` gives a and a.b, since b may be a module."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: nested too deeply
        line = getattr(error, "lineno", None)
        where = f"{path.name}, line {line}" if line else path.name
        raise DataError(f"{where}: this is not a Python program", hint="fix the syntax error") from None
    names: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names.append((node.level, base))
            names += [(node.level, f"{base}.{alias.name}".lstrip(".")) for alias in node.names]
    return names


def _resolve(folder: Path, here: Path, imported: tuple[int, str]) -> list[Path]:
    """Files that an import may load: each package on the way, then the module. Outside the folder is another's."""
    level, name = imported
    start = folder
    if level:
        start = here
        for _ in range(level - 1):
            start = start.parent
    candidates = []
    place = start
    for part in [part for part in name.split(".") if part]:
        candidates += [place / part / "__init__.py", place / f"{part}.py"]
        place = place / part
    return [path for path in candidates if path.is_file() and path.is_relative_to(folder)]
