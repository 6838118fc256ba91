"""Fixtures for tests that run `tacit` on three machines; a conftest imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.machines import Machines, make_homes


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Keys are made once."""
    return make_homes(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def machines(homes: dict[str, Path], tmp_path: Path) -> Iterator[Machines]:
    """Three machines that trust each other."""
    made = Machines(homes, tmp_path)
    yield made
    made.dismiss()
