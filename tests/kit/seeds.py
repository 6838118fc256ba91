"""A generator for made-up test data that says how to repeat itself when a test fails."""

from __future__ import annotations

import os
import secrets

import numpy as np
import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Fresh on every run; pytest shows the line below when the test fails."""
    seed = int(os.environ.get("TACIT_TEST_SEED") or secrets.randbits(32))
    print(f"replay with: TACIT_TEST_SEED={seed} pytest '{request.node.nodeid}'")
    return np.random.default_rng(seed)
