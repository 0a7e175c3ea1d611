"""What differs between two fabricated result sets: verdicts, numbers, and sets that must not be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avbalance.cli import main
from avbalance.errors import UserError
from avbalance.reporting.stability import CLAIM, COMPARISON, as_json, compare, markdown
from avbalance.table_files import write_csv
from flowkeeper.files import read_json, write_json

TABLE = "papers/paper/table2.csv"
RIGHT, WRONG, OPEN, ABSENT = "as claimed", "contrary", "inconclusive", "not testable here"
RUN = "paper/data/baseline/seed0"


def entry(name: str, **verdicts: str) -> dict[str, Any]:
    """A claim with a verdict by protocol, each resting on one comparison of the same verdict."""
    return {
        "id": name,
        "results": {
            protocol: {"verdict": verdict, "outcomes": [{"text": "A - B", "verdict": verdict}]}
            for protocol, verdict in verdicts.items()
        },
    }


def make_set(
    folder: Path,
    claims: list[dict[str, Any]],
    torch: str = "AVX512",
    means: tuple[float | None, ...] = (80.0, 60.0),
    seeds: int = 5,
    record: dict[str, Any] | None = None,
) -> Path:
    """A folder results/<name> with one run, the claims of one paper and a table of one row for each of `means`."""
    made = {
        "settings_digest": "s", "data": {"manifest_sha256": "m"}, "code": {"digest": "c"},
        "device": {"instruction_set": {"torch": torch, "pinned": {}}},
    }  # fmt: skip
    write_json(folder / "runs" / RUN / "record.json", made | (record or {}))
    write_json(folder / "papers/paper/claims.json", {"paper": "paper", "checks": claims[:1], "claims": claims[1:]})
    rows = [
        {"subset": "all", "method": name, "published": 70.0, "ours_mean": mean, "ours_sd": 2.0, "seeds": seeds, "n": 9}
        for name, mean in zip("ab", means, strict=True)
    ]
    write_csv(folder / TABLE, pd.DataFrame(rows))
    return folder


ALIKE = [entry("K1", estimated=RIGHT), entry("C1", estimated=OPEN, planted=WRONG), entry("C2", estimated=ABSENT)]


def both(tmp_path: Path, second: list[dict[str, Any]], **changes: Any) -> tuple[Path, Path]:
    return make_set(tmp_path / "one", ALIKE), make_set(tmp_path / "two", second, **{"torch": "AVX2", **changes})


def test_equal_sets_are_stable_and_what_none_can_test_does_not_count(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, ALIKE), TABLE)
    assert found.stable and found.share_equal(CLAIM) == 1.0
    assert found.verdicts.query("kind == 'claim'")["name"].to_list() == ["K1", "C1, estimated", "C1, planted"]
    assert as_json(found)["compared"] == {"claim": 3, "comparison": 3}
    assert len(found.cells) == 2 and not found.cells["differs"].any()
    assert found.instructions == ("AVX512", "AVX2")
    assert "**stable**, 0 flips" in markdown(found) and "same instruction set" not in markdown(found)


def test_alternatives_are_compared_by_what_is_asked_and_not_by_the_one_that_decides(tmp_path: Path) -> None:
    sets = []
    for shown in ("A - B", "A - C"):
        claim = entry("C9", estimated=OPEN)
        claim["results"]["estimated"]["outcomes"][0]["text"] = f"A beats one of them; shown: {shown}"
        sets.append(make_set(tmp_path / shown[-1], [claim]))
    found = compare(*sets, TABLE)
    assert found.verdicts.query("kind == 'comparison'")["name"].to_list() == ["C9, 1: A beats one of them"]


@pytest.mark.parametrize(("verdict", "flips"), [(WRONG, 2), (OPEN, 0), (ABSENT, 0)])
def test_a_flip_is_from_as_claimed_to_contrary_only(tmp_path: Path, verdict: str, flips: int) -> None:
    found = compare(*both(tmp_path, [entry("K1", estimated=verdict), *ALIKE[1:]]), TABLE)
    assert found.verdicts["flips"].sum() == flips  # the check and its comparison
    assert not found.stable  # two of three are less than 95 %
    assert found.share_equal(CLAIM) == found.share_equal(COMPARISON) == pytest.approx(2 / 3)
    assert f"| paper | K1 | as claimed | {verdict} | {'yes' if flips else ''} |" in markdown(found)


def test_nineteen_of_twenty_equal_verdicts_are_enough_unless_the_other_flips(tmp_path: Path) -> None:
    many = [entry(f"C{number}", estimated=RIGHT) for number in range(20)]
    first = make_set(tmp_path / "one", many)
    for verdict, stable in ((OPEN, True), (WRONG, False)):
        second = make_set(tmp_path / verdict.split()[0], [*many[:-1], entry("C19", estimated=verdict)])
        assert compare(first, second, TABLE).stable is stable
    second = make_set(tmp_path / "two", [*many[:-2], entry("C18", estimated=OPEN), entry("C19", estimated=OPEN)])
    assert compare(first, second, TABLE).stable is False


@pytest.mark.parametrize(("second", "differs", "apart"), [(80.004, 0, 0), (82.0, 1, 0), (77.99, 1, 1), (None, 1, 1)])
def test_numbers_are_compared_as_they_are_printed(
    tmp_path: Path, second: float | None, differs: int, apart: int
) -> None:
    found = compare(*both(tmp_path, ALIKE, means=(second, 60.0)), TABLE)
    assert (found.cells["differs"].sum(), found.cells["apart"].sum()) == (differs, apart)
    assert f"{differs} of 2 differ, {apart} by more than" in markdown(found)
    written = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert written["cells_compared"] == 2 and len(written["cells"]) == differs


def test_a_single_seed_has_no_deviation_to_hide_behind(tmp_path: Path) -> None:
    one, two = both(tmp_path, ALIKE, means=(80.01, 60.0))
    for folder in (one, two):
        write_csv(folder / TABLE, pd.read_csv(folder / TABLE).assign(ours_sd=None))
    assert compare(one, two, TABLE).cells["apart"].to_list() == [True, False]


def test_the_command_writes_both_files_and_its_status_says_whether_all_is_stable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = both(tmp_path, ALIKE)
    three = make_set(tmp_path / "three", [entry("K1", estimated=WRONG), *ALIKE[1:]])
    for other, status in ((two, 0), (three, 1)):
        command = ["compare", str(one), str(other), "--table", TABLE, "--out", str(tmp_path / "out")]
        assert main(command) == status
        assert capsys.readouterr().out == (tmp_path / "out/stability.md").read_text(encoding="utf-8")
        assert read_json(tmp_path / "out/stability.json")["stable"] is (status == 0)
    assert "Both were made under the same instruction set" in (tmp_path / "out/stability.md").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record": {"settings_digest": "other"}}, f"{RUN}: made with settings other than in .*one"),
        ({"record": {"data": {"manifest_sha256": "other"}}}, "made with data other than"),
        ({"record": {"code": {"digest": "other"}}}, "made with code other than"),
        ({"seeds": 4}, "table2.csv, all, a: over 4 seeds, .* has 5"),
    ],
)
def test_sets_of_other_tiers_data_or_seeds_are_one_sentence(tmp_path: Path, changes: Any, words: str) -> None:
    one, two = both(tmp_path, ALIKE, **changes)
    with pytest.raises(UserError, match=words):
        compare(one, two, TABLE)


def test_what_only_one_set_has_is_one_sentence(tmp_path: Path) -> None:
    one, two = both(tmp_path, ALIKE[:2])
    with pytest.raises(UserError, match=r"two/papers/paper/claims.json: has no verdict on C2, which .*one"):
        compare(one, two, TABLE)
    (two / TABLE).unlink()
    write_json(two / "papers/paper/claims.json", read_json(one / "papers/paper/claims.json"))
    with pytest.raises(UserError, match=r"two/papers/paper/table2.csv: not a readable table"):
        compare(one, two, TABLE)
    write_json(one / "runs/paper/data/greedy/seed0/record.json", {})
    with pytest.raises(UserError, match=r"greedy/seed0: .*two has no such run"):
        compare(one, two, TABLE)
    with pytest.raises(UserError, match=r"nowhere/runs: no finished runs"):
        compare(one, tmp_path / "nowhere", TABLE)
    write_json(two / "papers/paper/claims.json", [])
    (one / "runs/paper/data/greedy/seed0/record.json").unlink()
    with pytest.raises(UserError, match=r"two/papers/paper/claims.json: holds no claims"):
        compare(one, two, TABLE)
