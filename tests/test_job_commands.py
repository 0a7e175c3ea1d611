"""The commands of jobs: wrong settings on standard input end in one sentence, exit status 2 and no file."""

import io
from pathlib import Path

import pytest

from avbalance.cli import _parser, main

MEASURES = ["--measurements", "m.parquet"]
STORES = ["--manifest", "m.parquet", "--audio", "a", "--visual", "v", "--code", "x"]
STEPS = {
    "dataset": [],
    "train": STORES,
    "combine": ["--code", "x"],
    "confidence": STORES[:6],
    "subsets": STORES[:2],
    "measure": [],
    "tables": MEASURES,
    "figures": MEASURES,
    "claims": MEASURES,
    "losses": [],
}


@pytest.mark.parametrize("given", ["", "{", "{}", "[]", "[1]", "null", '{"name": "a", "spec": {"kind": "nope"}}'])
@pytest.mark.parametrize("step", STEPS)
def test_wrong_settings_end_in_one_sentence(
    step: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    assert main([step, *STEPS[step], "--out", "made"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_of_data_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "mine", "spec": {"kind": "nope"}}'))
    assert main(["dataset", "--out", str(tmp_path / "manifest.parquet")]) == 2
    assert "data set mine" in capsys.readouterr().err


def test_how_often_states_are_saved_comes_from_the_option_the_environment_or_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", *STORES, "--out", "made"]
    monkeypatch.delenv("AVBALANCE_CHECKPOINT_EVERY", raising=False)
    assert _parser().parse_args(command).checkpoint_every == 20.0
    monkeypatch.setenv("AVBALANCE_CHECKPOINT_EVERY", "1.5")
    assert _parser().parse_args(command).checkpoint_every == 1.5
    assert _parser().parse_args([*command, "--checkpoint-every", "3"]).checkpoint_every == 3.0
    monkeypatch.setenv("AVBALANCE_CHECKPOINT_EVERY", "often")
    with pytest.raises(SystemExit):
        main(command)
    assert "--checkpoint-every: invalid float value: 'often'" in capsys.readouterr().err
