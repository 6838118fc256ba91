"""The job file: the examples of its page, both ways, and what the methods of a Job promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.errors import JobError, StorageTrouble
from tacit.session import job_keys
from tacit.session.job import Address, Deadlines, Input, Job, Party, Reveal, parse_address_map

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "job.md"
BLOCKS = re.findall(r"^```(toml|json)( reject)?\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
ACCEPTED = [(kind, text) for kind, reject, text in BLOCKS if not reject]
REJECTED = [(kind, text) for kind, reject, text in BLOCKS if reject]

THREE = """
version = 1
[parties.alice]
address = "127.0.0.1:7101"
[parties.bob]
address = "127.0.0.1:7102"
[parties.crypto-producer]
address = "127.0.0.1:7103"
"""


def read(kind: str, text: str) -> Job:
    return Job.parse(text) if kind == "toml" else Job.from_address_map(text)


# ---- the page -------------------------------------------------------------------------------------------------------


def test_the_page_has_examples_of_both_kinds() -> None:
    assert len(ACCEPTED) >= 3
    assert len(REJECTED) >= 40


@pytest.mark.parametrize(("kind", "text"), ACCEPTED)
def test_an_example_of_the_page_is_accepted(kind: str, text: str) -> None:
    assert read(kind, text).version == 1


@pytest.mark.parametrize(("kind", "text"), REJECTED)
def test_a_reject_line_of_the_page_is_refused_with_its_words(kind: str, text: str) -> None:
    first, _, rest = text.partition("\n")
    words = first.removeprefix("# refused: ")
    assert words != first, "a reject block starts with the words of its error"
    with pytest.raises(JobError) as caught:
        read(kind, text if kind == "toml" else rest)
    assert words in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("table", list(job_keys.TABLES))
def test_every_key_of_the_tables_has_its_line_in_the_page(table: str) -> None:
    page = PAGE.read_text("utf-8")
    assert [key for key in job_keys.TABLES[table] if f"\n| `{key}` |" not in page] == []


def test_the_page_names_no_key_that_the_tables_lack() -> None:
    known = {key for table in job_keys.TABLES.values() for key in table}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)) == known


@pytest.mark.parametrize("table", list(job_keys.TABLES))
def test_the_sample_in_each_hint_is_itself_legal(table: str) -> None:
    import tomllib

    for name, rule in job_keys.TABLES[table].items():
        rule.parse(tomllib.loads(f"{name} = {rule.sample}")[name])


# ---- reading --------------------------------------------------------------------------------------------------------


def test_the_full_example_gives_each_value_its_place() -> None:
    job = Job.parse(ACCEPTED[0][1], folder="/jobs")
    assert job.names == ("alice", "bob", "crypto-producer")
    assert job.model_out == Path("/jobs/fraud-model")
    assert job.party("bob") == Party(
        "bob",
        Address("2001:db8::7", 7101),
        {"customers": Input("customers", Path("/jobs/bob.csv"), True, "id", "fraud", ("income", "open_loans"))},
    )
    assert job.reveals == (Reveal("training loss", "bob", 20), Reveal("weights", "alice", None))
    assert job.deadlines == Deadlines(30.0, 30.0)


def test_the_smallest_job_has_the_documented_defaults() -> None:
    job = Job.parse("version = 1")
    assert (job.protocol, job.frac_bits, job.ring_bits, job.seed, job.model_to) == ("masked", 16, 64, None, None)
    assert job.reveals == ()


@pytest.mark.parametrize(
    ("line", "expected"), [("id = 0", 0), ("id = false", False), ('id = "who"', "who"), ("", None)]
)
def test_a_position_a_missing_column_and_silence_are_three_different_things(line: str, expected: object) -> None:
    found = Job.parse(f'version = 1\n[parties.a.inputs.x]\npath = "a.csv"\n{line}').party("a").inputs["x"].id
    assert found == expected
    assert type(found) is type(expected)


def test_alice_gets_the_model_only_if_she_is_a_party() -> None:
    assert Job.parse(THREE).model_to == "alice"
    assert Job.parse("version = 1\n[parties.bob]\n[parties.carol]").model_to is None


def test_the_order_of_the_tables_is_the_order_of_places() -> None:
    job = Job.parse("version = 1\n[parties.zoe]\n[parties.bob]\n[parties.alice]")
    assert [job.place(name) for name in ("zoe", "bob", "alice")] == [0, 1, 2]


def test_a_fault_names_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("version = 1\nname = nobody\n")
    with pytest.raises(JobError, match=r"mine\.toml: .*line 2"):
        Job.load(tmp_path / "mine.toml")


def test_load_tells_a_job_from_a_flat_map_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(THREE)
    (tmp_path / "map.json").write_text('{"bob": "b.example:1", "alice": "a.example:2"}')
    assert Job.load(tmp_path / "job.toml").names[0] == "alice"
    assert Job.load(tmp_path / "map.json").names == ("bob", "alice")
    assert Job.load(tmp_path / "map.json") == Job.from_address_map(tmp_path / "map.json")


def test_a_file_that_is_missing_a_folder_foreign_or_huge_is_refused_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no such job file"):
        Job.load(tmp_path / "job.toml")
    with pytest.raises(StorageTrouble):
        Job.load(tmp_path)
    (tmp_path / "job.toml").write_bytes(b"version = 1\nname = '\xff'\n")
    with pytest.raises(JobError, match="UTF-8 text, got another encoding in line 2"):
        Job.load(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(JobError, match="at most 262144 bytes"):
        Job.load(tmp_path / "job.toml")


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_bytes(b"\xef\xbb\xbfversion = 1\r\nseed = 7\r\n")
    assert Job.load(tmp_path / "job.toml").seed == 7


@pytest.mark.parametrize("text", ["version = " + "[" * 100_000, "version = " + "9" * 10_000, "v" + ".v" * 2_000 + "=1"])
def test_hostile_depth_and_length_are_a_job_error(text: str) -> None:
    with pytest.raises(JobError):
        Job.parse(text)


@given(st.text(max_size=60))
def test_no_text_gives_anything_but_a_job_or_a_job_error(text: str) -> None:
    for reader in (Job.parse, parse_address_map):
        try:
            reader(text)
        except JobError:
            continue


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_value_of_any_type_gets_past_a_key_with_another_error_than_valueerror(value: object) -> None:
    for table in job_keys.TABLES.values():
        for rule in table.values():
            try:
                rule.parse(value)
            except ValueError:
                continue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:1", Address("localhost", 1)),
        ("a-b.example.:65535", Address("a-b.example.", 65535)),
        ("[::1]:7101", Address("::1", 7101)),
        ("[2001:DB8:0:0::7]:7101", Address("2001:db8::7", 7101)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, expected: Address) -> None:
    assert job_keys.parse_address(text) == expected
    assert job_keys.parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", ":", "a:", ":1", "a:01", "a:+1", "a:1\n", "a b:1", "a\x00:1", "-a:1", "a..b:1", "[1.2.3.4]:1", "[]:1",
             "a:٣", "[::1%eth0\x1b]:1x", "1.2.3:80", "a/b:1", "@a:1"],
)  # fmt: skip
def test_a_bent_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$|brackets"):
        job_keys.parse_address(text)


# ---- changing -------------------------------------------------------------------------------------------------------


def test_addresses_are_merged_by_name_and_places_stay() -> None:
    job = Job.parse(THREE)
    moved = job.with_addresses(parse_address_map('{"crypto-producer": "c:3", "bob": "b:2", "alice": "a:1"}'))
    assert moved.names == job.names
    assert [str(address) for address in moved.addresses().values()] == ["a:1", "b:2", "c:3"]
    assert job.addresses()["alice"] == Address("127.0.0.1", 7101), "the old job is untouched"


@pytest.mark.parametrize("names", ["alice bob", "alice bob carol", "alice bob crypto-producer carol"])
def test_a_map_with_other_names_than_the_job_is_refused(names: str) -> None:
    addresses = {name: Address(name, 1) for name in names.split()}
    with pytest.raises(JobError, match="expected alice, bob, crypto-producer, got alice, bob"):
        Job.parse(THREE).with_addresses(addresses)


def test_a_map_gives_the_parties_where_the_job_lists_none() -> None:
    job = Job.parse("version = 1\nseed = 3").with_addresses(parse_address_map('{"bob": "b:2", "alice": "a:1"}'))
    assert (job.names, job.seed, job.model_to) == (("bob", "alice"), 3, "alice")


def test_only_parties_drops_addresses_and_keeps_the_places_of_the_job() -> None:
    job = Job.parse(THREE).only_parties(["crypto-producer", "alice", "bob"])
    assert job.names == ("alice", "bob", "crypto-producer")
    assert [party.address for party in job.parties] == [None] * 3
    assert job.common_digest() == Job.parse(THREE).common_digest()
    with pytest.raises(JobError, match="no address for alice, bob, crypto-producer"):
        job.addresses()


@pytest.mark.parametrize(
    "names", ["alice", "alice bob carol", "alice bob crypto-producer carol", "alice bob crypto-producer bob", "../bob"]
)
def test_only_parties_refuses_other_more_repeated_or_bent_names(names: str) -> None:
    with pytest.raises(JobError):
        Job.parse(THREE).only_parties(names.split())


def test_a_job_without_a_file_takes_its_parties_from_the_command_line() -> None:
    job = Job().only_parties(["alice", "bob", "crypto-producer"])
    assert (job.place("crypto-producer"), job.model_to) == (2, "alice")


def test_consent_to_a_stranger_is_found_as_soon_as_the_parties_are_known() -> None:
    job = Job.parse('version = 1\n[[reveals]]\nname = "loss"\nto = "eve"')
    with pytest.raises(JobError, match=r"reveals\[0\]\.to"):
        job.only_parties(["alice", "bob"])


def test_an_input_can_be_added_beside_a_flat_map(tmp_path: Path) -> None:
    job = Job.from_address_map('{"alice": "a:1", "bob": "b:2"}').with_input("alice", tmp_path / "a.csv")
    assert job.party("alice").inputs == {"input": Input("input", tmp_path / "a.csv")}
    assert job.party("bob").inputs == {}


# ---- agreeing and allowing ------------------------------------------------------------------------------------------

COMMON_CHANGES = ['name = "x"', 'protocol = "plain"', "frac_bits = 12", 'model_to = "bob"', "seed = 1"]


@pytest.mark.parametrize("line", COMMON_CHANGES)
def test_a_changed_common_key_changes_the_digest(line: str) -> None:
    assert Job.parse(f"{line}{THREE}").common_digest() != Job.parse(THREE).common_digest()


def test_the_order_of_parties_is_common() -> None:
    one, two = "[parties.alice]\n", "[parties.bob]\n"
    digests = {Job.parse(f"version = 1\n{text}").common_digest() for text in (one + two, two + one)}
    assert len(digests) == 2


@pytest.mark.parametrize(
    "line",
    [
        'model_out = "elsewhere"\n' + THREE,
        THREE + "[deadlines]\nconnect_s = 5\n",
        THREE + '[parties.bob.inputs.x]\npath = "b.csv"\n',
        THREE + '[[reveals]]\nname = "loss"\nto = "all"\n',
        THREE.replace("7101", "9999"),
    ],
)
def test_an_own_key_never_enters_the_common_part(line: str) -> None:
    assert Job.parse(line).common() == Job.parse(THREE).common()


CONSENT = Job.parse(
    'version = 1\n[[reveals]]\nname = "loss"\nto = "all"\ntimes = 3\n[[reveals]]\nname = "loss"\nto = "bob"\n'
    '[[reveals]]\nname = "weights"\nto = "alice"\n'
)


@pytest.mark.parametrize(
    ("name", "receiver", "expected"),
    [
        ("loss", "all", Reveal("loss", "all", 3)),
        ("loss", "alice", Reveal("loss", "all", 3)),
        ("loss", "bob", Reveal("loss", "bob", None)),
        ("weights", "alice", Reveal("weights", "alice", None)),
        ("weights", "bob", None),
        ("weights", "all", None),
        ("los", "all", None),
        ("", "all", None),
    ],
)
def test_consent_covers_its_receiver_and_no_more(name: str, receiver: str, expected: Reveal | None) -> None:
    assert CONSENT.allows(name, receiver) == expected


def test_an_unknown_party_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(JobError, match=r"did you mean alice\?"):
        Job.parse(THREE).party("alise")
