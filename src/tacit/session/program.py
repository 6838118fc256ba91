"""Which program a party is about to run: its script and every file it imports from the script's own folder.

Parties compare digests of these files before anything is shared, so that each knows that the code it read is the code
that the others run. Found by reading import statements, not by running them: the answer is the same at every party,
whatever each of them imports first. Not covered: files reached by importlib or opened as data.
"""

from __future__ import annotations

import ast
from pathlib import Path

from tacit.crypto.primitives import digest
from tacit.errors import DataError, StorageTrouble


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
