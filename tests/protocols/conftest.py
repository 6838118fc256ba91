"""Made-up data with a seed that is printed when a test fails; gates with fixed roles, whatever the size of a tensor."""

import pytest

from kit.seeds import rng as rng
from tacit.protocols import Masked


@pytest.fixture(autouse=True)
def fixed_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at the masks of party 2 as helper; test_turns lets the roles go round."""
    monkeypatch.setattr(Masked, "rotated_from", 1 << 62)
