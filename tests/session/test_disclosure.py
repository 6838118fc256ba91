"""Consent: a reveal that one party did not agree to stops before a share of anybody leaves; the report is complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tacit
from kit.parties import View
from tacit.cli.local import allowance
from tacit.errors import Misuse, PeerStopped, RevealRefused
from tacit.session import current
from tacit.session.disclosure import Disclosures
from tacit.session.job import Job

PARTIES = "\n[parties.alice]\n[parties.bob]\n[parties.crypto-producer]\n"


def consent(*reveals: str) -> Disclosures:
    """What a job with these reveals allows: "name > receiver" or "name > receiver x times"."""
    text = "version = 1\n" + PARTIES
    for reveal in reveals:
        name, _, rest = reveal.partition(" > ")
        to, _, times = rest.partition(" x ")
        text += f'[[reveals]]\nname = "{name}"\nto = "{to}"\n' + (f"times = {times}\n" if times else "")
    job = Job.parse(text)
    return Disclosures(lambda name, to: allowance(job, name, to), "job.toml")


# ---- the ledger -----------------------------------------------------------------------------------------------------


def test_what_the_job_lists_is_permitted_and_written_down() -> None:
    ledger = consent("loss > bob", "order > all x 1")
    for _ in range(3):
        ledger.permit("loss", "bob", "[]", "train.py:9")
    ledger.permit("loss", "bob", "[4]", "train.py:12")
    ledger.permit("order", "all", "[]", "train.py:3")
    assert [tuple(entry.as_dict().values()) for entry in ledger.report()] == [
        ("loss", "bob", "[]", "train.py:9", 3),
        ("loss", "bob", "[4]", "train.py:12", 1),
        ("order", "all", "[]", "train.py:3", 1),
    ]


@pytest.mark.parametrize(
    ("name", "to"), [("scores", "bob"), ("loss", "alice"), ("loss", "all"), ("Loss", "bob"), ("loss ", "bob")]
)
def test_what_the_job_does_not_list_is_refused_with_the_lines_to_add(name: str, to: str) -> None:
    ledger = consent("loss > bob")
    with pytest.raises(RevealRefused) as caught:
        ledger.permit(name, to, "[2, 3]", "train.py:9")
    for part in ("train.py:9", f'"{name}"', "[2, 3]", to):
        assert part in caught.value.message
    assert f'name = "{name}"  to = "{to}"' in str(caught.value.hint)
    assert ledger.report() == []


def test_more_often_than_allowed_is_refused_wherever_the_lines_are() -> None:
    ledger = consent("loss > bob x 2")
    ledger.permit("loss", "bob", "[]", "train.py:9")
    ledger.permit("loss", "bob", "[1]", "train.py:30")
    with pytest.raises(RevealRefused, match="once more than the 2 that this party's job allows") as caught:
        ledger.permit("loss", "bob", "[]", "train.py:9")
    assert "`times` in job.toml" in str(caught.value.hint)
    assert sum(entry.count for entry in ledger.report()) == 2


def test_consent_to_all_covers_one_party_and_not_the_other_way_round() -> None:
    consent("bit > all").permit("bit", "bob", "[]", "train.py:1")
    with pytest.raises(RevealRefused):
        consent("bit > bob").permit("bit", "all", "[]", "train.py:1")


def test_consent_to_all_once_covers_one_reveal_and_not_one_for_each_receiver() -> None:
    ledger = consent("bit > all x 1")
    ledger.permit("bit", "bob", "[]", "train.py:1")
    for to in ("all", "alice", "bob"):
        with pytest.raises(RevealRefused, match="once more than the 1 that"):
            ledger.permit("bit", to, "[]", "train.py:2")


def test_a_job_without_reveals_allows_none() -> None:
    with pytest.raises(RevealRefused):
        consent().permit("value", "alice", "[]", "train.py:1")


# ---- nothing leaves -------------------------------------------------------------------------------------------------

Program = Callable[[], object]


def three(ledgers: list[Disclosures], program: Program) -> tuple[list[BaseException | None], list[View]]:
    """The program as three parties with these consents, in processes; (errors, views)."""

    def body() -> tuple[BaseException | None, View]:
        party = tacit.party()
        run = current.current()
        view: View = []
        session = run.session
        session.disclosures = ledgers[party.place]
        inner = session._postman.exchange

        def watched(step, label, send, into):  # type: ignore[no-untyped-def]
            inner(step, label, send, into)
            view.extend((label, peer, bytes(buffer)) for peer, buffer in into.items())

        session._postman.exchange = watched
        try:
            program()
        except tacit.errors.TacitError as error:
            session.abort(f"{type(error).__name__}: {error.message}")
            return error, view
        return None, view

    outcomes = tacit.simulate(body, parties=("alice", "bob", "crypto-producer"))
    return [error for error, _ in outcomes], [view for _, view in outcomes]


def reveal_to_bob() -> None:
    x = tacit.secret(torch.tensor([1.5, -2.5]), owner="alice")
    tacit.reveal(x, to="bob", name="loss")


@pytest.mark.parametrize("refusing", range(3))
@pytest.mark.parametrize("own", [(), ("loss > alice",), ("scores > bob",)], ids=["unlisted", "receiver", "name"])
def test_one_party_that_does_not_agree_stops_it_before_a_share_of_anybody_arrives(
    refusing: int, own: tuple[str, ...]
) -> None:
    """Also where the refusing party would not have had to send anything: the two others must not go ahead."""
    ledgers = [consent("loss > bob") for _ in range(3)]
    ledgers[refusing] = consent(*own)
    errors, views = three(ledgers, reveal_to_bob)
    for place, error in enumerate(errors):
        assert isinstance(error, RevealRefused if place == refusing else PeerStopped), error
        assert '"loss"' in str(error)
    assert "reveal/reveal" not in {label for view in views for label, _, _ in view}


def test_where_all_agree_the_share_does_arrive() -> None:
    """So that the test above can fail."""
    errors, views = three([consent("loss > bob")] * 3, reveal_to_bob)
    assert errors == [None] * 3
    assert [sum(label == "reveal/reveal" for label, _, _ in view) for view in views] == [0, 1, 0]


def test_once_too_often_stops_before_the_second_share() -> None:
    def twice() -> None:
        x = tacit.secret(torch.tensor([1.5]), owner="alice")
        for _ in range(2):
            tacit.reveal(x, to="bob", name="loss")

    errors, views = three([consent("loss > bob"), consent("loss > bob"), consent("loss > bob x 1")], twice)
    assert [type(error) for error in errors] == [PeerStopped, PeerStopped, RevealRefused]
    assert "once more than the 1 that" in str(errors[0])
    # Not always one: the refusal may overtake the first share, and stops the run all the same.
    assert sum(label == "reveal/reveal" for label, _, _ in views[1]) <= 1


def test_a_module_is_one_reveal_and_stops_before_its_first_tensor() -> None:
    def program() -> None:
        model = tacit.secret(torch.nn.Linear(2, 1))
        tacit.reveal(model, to="alice", name="weights")

    errors, views = three([consent("weights > alice"), consent(), consent("weights > alice")], program)
    assert [type(error) for error in errors] == [PeerStopped, RevealRefused, PeerStopped]
    assert "reveal/reveal" not in {label for view in views for label, _, _ in view}


def test_the_line_in_the_report_is_the_programs_own() -> None:
    def program() -> list[str]:
        x = tacit.secret(torch.tensor([1.5]), owner=0)
        tacit.reveal(x, to=1)
        return [entry.line for entry in current.current().session.disclosures.report()]

    (line,) = tacit.simulate(program)[0]
    name, _, number = line.partition(":")
    assert name == Path(__file__).name
    assert "tacit.reveal(x, to=1)" in Path(__file__).read_text().split("\n")[int(number) - 1]


def test_a_module_needs_a_receiver_where_the_job_names_none_and_alice_is_no_party() -> None:
    job = Job.parse("version = 1\n[parties.bank]\n[parties.state]\n[parties.helper]\n")
    assert job.model_to is None

    def program() -> None:
        tacit.reveal(tacit.secret(torch.nn.Linear(1, 1)), name="weights")

    with pytest.raises(Misuse, match="reveal\\(module\\) needs a receiver"):
        tacit.simulate(program, parties=["bank", "state", "helper"])
