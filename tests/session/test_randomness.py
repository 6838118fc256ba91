"""Every random word has one address: no key meets a counter twice; sessions, pairs and purposes share no words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kit.gates import inputs, rows
from kit.parties import in_threads, make_sessions, pair_keys
from tacit.crypto.primitives import Stream, random_bytes
from tacit.protocols import Protocol, Replicated3
from tacit.ring import Ring
from tacit.session import randomness
from tacit.session.randomness import Randomness


class Watched(Stream):
    """A stream that writes down its key and every stretch that was read."""

    made: list[Watched]

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key, self.stretches, self.bytes = key, [], bytearray()
        self.made.append(self)

    def xor_into(self, buffer: memoryview) -> None:
        begin = self.position
        super().xor_into(buffer)
        self.stretches.append((begin, self.position))
        self.bytes += buffer


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    made: list[Watched] = []
    monkeypatch.setattr(Watched, "made", made, raising=False)
    monkeypatch.setattr(randomness, "Stream", Watched)
    return made


def run_every_gate(session_id: bytes, keys: dict[frozenset[int], bytes]) -> None:
    """All gates twice over, with batches that are no whole number of AES blocks."""
    sessions = make_sessions("replicated3", keys=keys, session_id=session_id)

    def program(protocol: Protocol) -> None:
        for count in (67, 5):
            for row in rows(64):
                row.call(protocol, inputs(protocol, np.zeros(count, dtype=np.int64)))

    in_threads([lambda s=s: program(Replicated3(s)) for s in sessions], sessions)


def blocks(streams: list[Watched]) -> list[bytes]:
    """The 16-byte blocks of one end of each stream."""
    one_end = {stream.key: bytes(stream.bytes) for stream in streams}
    return [data[i : i + 16] for data in one_end.values() for i in range(0, len(data) - 15, 16)]


def test_every_key_is_used_by_the_two_ends_of_its_pair_and_every_counter_once(streams: list[Watched]) -> None:
    run_every_gate(b"session one", pair_keys(3))
    assert set(Counter(stream.key for stream in streams).values()) == {2}
    ends: dict[bytes, list[Watched]] = {}
    for stream in streams:
        ends.setdefault(stream.key, []).append(stream)
        assert [begin for begin, _ in stream.stretches] == [0, *(end for _, end in stream.stretches[:-1])]
        assert all(begin < end for begin, end in stream.stretches)
    for one, other in ends.values():
        # Same words at both ends, read to the same place: nobody holds words that the other may still draw.
        assert one.bytes == other.bytes
    found = blocks(streams)
    assert len(found) == len(set(found)) > 1_000


def test_two_sessions_share_no_block_even_if_a_pair_key_came_back(streams: list[Watched]) -> None:
    keys = pair_keys(3)
    run_every_gate(b"session one", keys)
    first = set(blocks(streams))
    streams.clear()
    run_every_gate(b"session two", keys)
    second = set(blocks(streams))
    assert len(second) > 1_000
    assert not first & second
    streams.clear()
    run_every_gate(b"session one", keys)
    assert set(blocks(streams)) == first, "the comparison above would not notice a shared block"


def test_the_two_ends_draw_the_same_words_and_the_third_party_others() -> None:
    keys = pair_keys(3)
    ends = [Randomness({j: keys[frozenset({i, j})] for j in range(3) if j != i}, b"id") for i in range(3)]
    ring = Ring(64)
    for _ in range(3):
        here, there = ends[0].words(1, "pad", (5, 2), ring), ends[1].words(0, "pad", (5, 2), ring)
        assert np.array_equal(here, there)
        assert not np.intersect1d(here, ends[2].words(0, "pad", (5, 2), ring)).size
        assert not np.intersect1d(here, ends[0].words(1, "other pad", (5, 2), ring)).size


def test_elements_of_a_batch_get_words_of_their_own() -> None:
    # What lets a batch of n elements stand for n runs: the batch is the next n words of the stream, none of them twice.
    key = random_bytes(32)
    whole = Randomness({1: key}, b"id").words(1, "pad", (1_000,), Ring(64))
    single = Randomness({1: key}, b"id")
    assert [int(single.words(1, "pad", (1,), Ring(64))[0]) for _ in range(1_000)] == whole.tolist()
    assert np.unique(whole).size == 1_000


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_words_of_every_ring_cover_it_from_end_to_end(bits: int) -> None:
    words = Randomness({1: random_bytes(32)}, b"id").words(1, "pad", (100_000,), Ring(bits))
    assert words.dtype == np.int64
    assert words.min() >= -(2 ** (bits - 1))
    assert words.max() < 2 ** (bits - 1)
    # The chance that 100,000 words leave either outer hundredth of the ring empty is below 1e-400.
    assert words.min() < -0.98 * 2 ** (bits - 1)
    assert words.max() > 0.98 * 2 ** (bits - 1) - 1


def test_an_empty_draw_moves_nothing() -> None:
    key = random_bytes(32)
    one, other = Randomness({1: key}, b"id"), Randomness({1: key}, b"id")
    one.words(1, "pad", (0, 7), Ring(64))
    assert one.words(1, "pad", (), Ring(64)) == other.words(1, "pad", (), Ring(64))


def test_randomness_shows_no_key() -> None:
    key = random_bytes(32)
    text = repr(Randomness({1: key}, b"id")) + str(vars(Randomness({1: key}, b"id")).keys())
    assert key.hex() not in text
    assert repr(key) not in text
