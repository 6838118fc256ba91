"""A run of one party under the plain protocol, in the test's own process: for everything but secrecy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.parties import make_sessions
from kit.seeds import rng as rng
from tacit.session import current
from tacit.session.party import Party
from tacit.session.session import Session


@pytest.fixture
def alone() -> Iterator[Session]:
    """Make tacit's verbs work in this test; the session, for its meter."""
    session = make_sessions("plain", parties=1)[0]
    current.enter(current.Run(Party("alice", 0, ("alice",)), lambda: session))
    yield session
    current.enter(None)
