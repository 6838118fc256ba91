"""The file in which a revealed model is kept: safetensors, written whole or not at all, never over another file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from tacit.errors import OutputExists, StorageTrouble


def check_free(party: Any) -> None:
    """Raise OutputExists now if this party would receive the model and its file is there already."""
    path = _path(party)
    if path is None:
        return
    if path.exists():
        raise OutputExists(f"model_out: {path} exists already", hint="move it away, or name another file in the job")
    if not path.parent.is_dir():
        raise StorageTrouble(f"model_out: the folder {path.parent} does not exist", hint="make it before the run")


def save(party: Any, state: dict[str, Tensor]) -> Path | None:
    """Write the state at the job's model_out if this party is model_to; returns where."""
    path = _path(party)
    if path is None:
        return None
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        content = safetensors.torch.save({key: value.contiguous() for key, value in _untied(state).items()})
        _write_new(partial, content)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageTrouble(f"model_out: cannot write {partial}: {error.strerror}") from None
    try:
        # A link fails where a rename would overwrite: the file may have appeared since the run began.
        os.link(partial, path)
    except FileExistsError:
        # The weights took a whole run and may be revealed only once: they are kept under the other name.
        raise OutputExists(
            f"model_out: {path} appeared during the run", hint=f"it was left as it is; the model is in {partial}"
        ) from None
    except OSError:  # a file system without hard links
        try:
            _write_new(path, content)
        except OSError as error:
            raise StorageTrouble(
                f"model_out: cannot write {path}: {error.strerror}", hint=f"the model is in {partial}"
            ) from None
    partial.unlink()
    return path


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, readable by its owner alone, and see it on the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _untied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """safetensors refuses tensors that share memory; tied weights are written twice."""
    return {key: value.clone() for key, value in state.items()}


def _path(party: Any) -> Path | None:
    job = party.job
    if job is None or job.model_out is None or job.model_to != party.name:
        return None
    return Path(job.model_out)
