"""The GRID corpus in a folder: what is read and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from grid_corpus import ENDS, STARTS, real_grid, timings, write_sentence

from avbalance.data.grid import KINDS, VOCABULARY, Utterance, Word, is_sentence, read_talkers, read_words
from avbalance.errors import LostClip, UserError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(timings(Path(name).stem) if name.endswith(".align") else "x")


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Utterance:
    root = tmp_path_factory.mktemp("grid")
    write_sentence(root, "s1", "bbaf2n")
    return read_talkers(root)["s1"][0]


def test_a_sentence_is_read_with_its_classes(sentence: Utterance) -> None:
    assert [word.word for word in sentence.words] == ["bin", "blue", "at", "f", "two", "now"]
    assert [word.kind for word in sentence.words] == list(KINDS)
    assert [(word.start, word.end) for word in sentence.words] == list(zip(STARTS, ENDS, strict=True))
    assert [word.cls for word in sentence.words] == [0, 0, 0, 5, 2, 1] == [sentence.cls(kind) for kind in KINDS]
    assert sentence.word("digit") == Word("digit", "two", 1.5, 1.9)
    assert [len(VOCABULARY[kind]) for kind in KINDS] == [4, 4, 4, 25, 10, 4]
    assert VOCABULARY["digit"][0] == "zero" and "w" not in VOCABULARY["letter"]


def test_numbers_of_sentences_are_their_own(sentence: Utterance) -> None:
    names = [("s1", "bbaf2n"), ("s1", "bbaf2p"), ("s1", "sbaf2n"), ("s2", "bbaf2n"), ("s34", "swwz9s")]
    assert len({Utterance(talker, name, Path(), ()).number for talker, name in names}) == len(names)
    assert Utterance("s1", "bbaf2n", Path("elsewhere"), ()).number == sentence.number


@pytest.mark.parametrize(("name", "known"), [("swwz9s", True), ("bbaw2n", False), ("bbaf0n", False), ("bbaf2", False)])
def test_names_of_sentences(name: str, known: bool) -> None:
    assert is_sentence(name) == known


@pytest.mark.parametrize(
    ("clip", "align"),
    [
        ("s1/bbaf2n.mpg", "align/s1/bbaf2n.align"),
        ("s1/video/mpg_6000/bbaf2n.mpg", "s1/align/bbaf2n.align"),
        ("video/S01/bbaf2n.MPG", "alignments/s1/bbaf2n.align"),
    ],
)
def test_layouts_in_which_the_corpus_lies(tmp_path: Path, clip: str, align: str) -> None:
    _touch(tmp_path, clip, align, "s1/readme.txt", "s1/cover.mpg")
    found = read_talkers(tmp_path)
    assert {name: [each.path for each in clips] for name, clips in found.items()} == {"s1": [tmp_path / clip]}
    assert found["s1"][0].words


def test_talkers_are_chosen_and_in_order(tmp_path: Path) -> None:
    for talker in ("s10", "s2", "s1"):
        _touch(tmp_path, f"{talker}/lbws3s.mp4", f"{talker}/bbaf2n.mp4")
        _touch(tmp_path, f"align/{talker}/lbws3s.align", f"align/{talker}/bbaf2n.align", "align/s5/bbaf2n.align")
    assert list(read_talkers(tmp_path)) == ["s1", "s2", "s10"]
    assert [each.id for each in read_talkers(tmp_path, ["s2"])["s2"]] == ["bbaf2n", "lbws3s"]
    with pytest.raises(UserError, match="no clips of talker s5; it has those of s1, s10, s2"):
        read_talkers(tmp_path, ["s5"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["bbaf2n.mp4"], "holds no clips of GRID; put them there as s1/<id>.mpg"),
        (["s1/bbaf2n.mp4"], "no timings of talker s1; put the corpus' alignments in .*align/s1"),
        (["s1/bbaf2n.mp4", "more/S01/lbws3s.mp4"], "more/S01 and .*s1: two folders with clips of talker s1; remove"),
        (["s1/bbaf2n.mp4", "s1/bbaf2n.mpg"], r"bbaf2n\.mp4 and .*bbaf2n\.mpg: two files of one sentence; keep one"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: list[str], message: str) -> None:
    _touch(tmp_path, *files)
    with pytest.raises(UserError, match=message):
        read_talkers(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("blue", "blew", r"bbaf2n\.align, row 3: 'blew' is no colour; use one of blue, green, red, white"),
        ("blue", "green", "row 3: 'green' is not the colour 'blue' that the name tells; correct one of them"),
        ("12500 20000 bin", "12500 20000", "row 2: '12500 20000' is not start, end and word"),
        ("12500 20000 bin", "0.5 0.8 bin", r"row 2: .* has no whole numbers; give times in units of 1/25000 s"),
        ("12500 20000 bin", "12500 12500 bin", "row 2: .* does not begin after the row before and end later"),
        ("12500 20000 bin", "12000 20000 bin", "row 2: .* does not begin after the row before and end later"),
        ("57500 74500 sil", "57500 74500 bin", "row 8: 'bin' is a seventh word"),
        ("47500 57500 now", "47500 79500 now", r"row 7: 'now' ends at 3\.18 s, after the end of a clip of 3 s"),
        ("47500 57500 now\r\n57500 74500 sil\r\n", "", "row 6: ends after 5 of 6 words"),
    ],
)
def test_timings_that_cannot_be(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = timings("bbaf2n")
    assert old in text
    path = tmp_path / "bbaf2n.align"
    path.write_text(text.replace(old, new, 1), newline="")
    with pytest.raises(UserError, match=message):
        read_words(path)


@pytest.mark.parametrize(
    ("factor", "message"), [(1 / 25, "ends at 2980; give times in"), (44.1 / 25, "ends at 3.35 s")]
)
def test_timings_in_milliseconds_and_in_samples(tmp_path: Path, factor: float, message: str) -> None:
    path = tmp_path / "bbaf2n.align"
    rows = [line.split() for line in timings("bbaf2n").splitlines()]
    path.write_text("\n".join(f"{float(a) * factor:.0f} {float(b) * factor:.0f} {word}" for a, b, word in rows))
    with pytest.raises(UserError, match=message):
        read_words(path)


def test_short_pauses_and_empty_lines_are_no_words(tmp_path: Path) -> None:
    path = tmp_path / "bbaf2n.align"
    path.write_text(timings("bbaf2n").replace("27500 32500 at", "27500 28000 sp\n\n28000 32500 AT"), newline="")
    assert read_words(path)[2] == Word("preposition", "at", 1.12, 1.3)


def test_few_wrong_timings_cost_their_clips_and_many_stop(tmp_path: Path) -> None:
    names = ("bbaf2n", "lbws3s", "pgih4a")
    _touch(tmp_path, *(f"s1/{name}.mp4" for name in names), *(f"align/s1/{name}.align" for name in names))
    (tmp_path / "align/s1/bbaf2n.align").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    flawed = read_talkers(tmp_path)["s1"][0]
    assert flawed.flaw == (
        "align/s1/bbaf2n.align: a Git LFS pointer stands in place of the file; fetch the real one with git lfs pull."
    )
    with pytest.raises(LostClip, match="Git LFS"):
        flawed.word("digit")
    (tmp_path / "align/s1/lbws3s.align").unlink()
    with pytest.raises(UserError, match=r"Git LFS pointer .*\(So it is with 2 of 3 clips of talker s1\.\)"):
        read_talkers(tmp_path)


def test_the_real_corpus_is_read_whole() -> None:
    found = read_talkers(real_grid())
    first = found["s1"]
    assert len(first) == 1000 and not any(each.flaw for each in first)
    counts = {kind: Counter(each.word(kind).word for each in first) for kind in KINDS}
    for kind, each in (("digit", 100), ("letter", 40), ("colour", 250)):
        assert counts[kind] == dict.fromkeys(VOCABULARY[kind], each)
    assert all(0.039 <= word.end - word.start <= 0.9 for clips in found.values() for c in clips for word in c.words)
    truncated = next(each for each in found["s4"] if each.id == "bbaf2a")
    from avbalance.data.recordings import decode

    recording = decode(truncated.path, 16000)
    assert len(recording.pictures) == 25
    with pytest.raises(LostClip, match=r"'two' ends at 1\.64 s, the recording after 1\.00 s"):
        recording.span(truncated.word("digit"), 0.6)
