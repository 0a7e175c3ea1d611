"""AudioSet's lists, made up: outdoor clips, their two labellings, halves and parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avbalance.data.audioset import (
    NAMES,
    RURAL,
    SPEECH,
    SPEECH_DESCENDANTS,
    TASKS,
    URBAN,
    half_and_half,
    outdoor_clips,
    part_sizes,
    random_parts,
    read_class_names,
    read_segments,
)
from avbalance.errors import UserError

COMMENTS = """# Segments csv created (date)
# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
"""
MALE, DOG = SPEECH_DESCENDANTS[0], "/m/0bt9lr"


def listed(path: Path, *rows: str, comments: str = COMMENTS) -> Path:
    path.write_text(comments + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def row(video: str, *labels: str, start: int = 0) -> str:
    return f'{video}, {start}.000, {start + 10}.000, "{",".join(labels)}"'


def numbers(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_list_is_read_row_by_row(tmp_path: Path) -> None:
    path = listed(tmp_path / "a.csv", row("-AAAAAAAAA1", SPEECH, URBAN, start=30), row("BBBBBBBBBB2", DOG))
    first, second = read_segments(path)
    assert (first.video, first.start, first.end, first.row) == ("-AAAAAAAAA1", 30, 40, 4)
    assert first.labels == {SPEECH, URBAN} and first.id == "-AAAAAAAAA1_000030"
    assert second.labels == {DOG} and second.row == 5
    with_mark = tmp_path / "b.csv"
    with_mark.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_segments(with_mark)) == [first, second]
    bare = listed(
        tmp_path / "c.csv", row("BBBBBBBBBB2", DOG), comments="YTID,start_seconds,end_seconds,positive_labels\n"
    )
    assert [segment.row for segment in read_segments(bare)] == [2]


def test_exactly_one_outdoor_label_counts(tmp_path: Path) -> None:
    lists = [
        listed(
            tmp_path / "a.csv",
            row("ddddddddddd", RURAL),
            row("bothbothbot", URBAN, RURAL, SPEECH),
            row("neitherneit", SPEECH, DOG),
            row("insideinsid", "/t/dd00125"),  # a neighbour of the outdoor labels
            row("ccccccccccc", URBAN, SPEECH, DOG),
        ),
        listed(tmp_path / "b.csv", row("bbbbbbbbbbb", RURAL, SPEECH), row("aaaaaaaaaaa", MALE, URBAN)),
    ]
    clips = outdoor_clips(lists)
    assert clips.ids == tuple(f"{letter * 11}_000000" for letter in "abcd")
    assert [segment.video[0] for segment in clips.segments] == list("abcd")
    assert clips.labels["urban_rural"].tolist() == [0, 1, 0, 1] and TASKS["urban_rural"] == ("urban", "rural")
    assert clips.labels["speech"].tolist() == [0, 1, 1, 0] and TASKS["speech"] == ("non-speech", "speech")
    assert [(odd.row, odd.kind) for odd in clips.oddities] == [(5, "both labels")]
    wider = outdoor_clips(lists, speech_descendants=True)
    assert wider.labels["speech"].tolist() == [1, 1, 1, 0]
    assert wider.ids == clips.ids and wider.segments == clips.segments
    assert np.array_equal(wider.labels["urban_rural"], clips.labels["urban_rural"])
    assert outdoor_clips(lists[::-1]).ids == clips.ids


def test_an_outdoor_clip_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    one = listed(tmp_path / "a.csv", row("aaaaaaaaaaa", URBAN), row("aaaaaaaaaaa", URBAN, start=20))
    assert len(outdoor_clips([one]).ids) == 2
    with pytest.raises(UserError, match=r"b\.csv, row 5: 'aaaaaaaaaaa_000020' stands in .*a\.csv, row 5, already"):
        outdoor_clips([one, listed(tmp_path / "b.csv", row("bbbbbbbbbbb", DOG), row("aaaaaaaaaaa", RURAL, start=20))])


@pytest.mark.parametrize(
    "bad",
    [
        "aaaaaaaaaaa, 0.000, 10.000",
        f'aaaaaaaaaa, 0.000, 10.000, "{URBAN}"',
        f'aaaaaaaaaaa, start, 10.000, "{URBAN}"',
        f'aaaaaaaaaaa, 10.000, 10.000, "{URBAN}"',
        f"aaaaaaaaaaa, 0.000, 10.000, {URBAN},{SPEECH}",
        'aaaaaaaaaaa, 0.000, 10.000, ""',
        f'aaaaaaaaaaa, nan, 10.000, "{URBAN}"',
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UserError, match=r"a\.csv, row 5: .* is not <YouTube id>, <start>, <end>, \"<label>,...\""):
        list(read_segments(listed(tmp_path / "a.csv", row("bbbbbbbbbbb", URBAN), bad)))


def test_absent_and_empty_lists_are_named_with_their_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"eval_segments\.csv: no such file; take it from research\.google\.com"):
        list(read_segments(tmp_path / "eval_segments.csv"))
    with pytest.raises(UserError, match=r"a\.csv, row 4: no clip is listed"):
        list(read_segments(listed(tmp_path / "a.csv")))


# Halves and parts; worked sizes: tests/fidelity/test_modality_relevance.py, item 2


@settings(deadline=None)
@given(first=st.integers(1, 40), second=st.integers(1, 40), seed=st.integers(0, 100))
def test_halves(first: int, second: int, seed: int) -> None:
    labels = numbers(seed).permutation(np.repeat([0, 1], [first, second]))
    kept = half_and_half(labels, numbers(seed))
    assert np.bincount(labels[kept], minlength=2).tolist() == [min(first, second)] * 2
    assert (np.diff(kept) > 0).all()
    assert set(np.flatnonzero(labels == int(second < first))) <= set(kept)  # all of the less frequent label
    assert np.array_equal(kept, half_and_half(labels, numbers(seed)))


def test_halves_are_drawn_at_random() -> None:
    labels = np.repeat([0, 1], [5, 50])
    drawn = {tuple(half_and_half(labels, numbers(seed))) for seed in range(10)}
    assert len(drawn) == 10
    with pytest.raises(UserError, match="0 have label 0, 3 label 1"):
        half_and_half(np.ones(3, dtype=np.int64), numbers())


@settings(deadline=None, max_examples=40)
@given(clips=st.integers(10, 300), seed=st.integers(0, 100))
def test_parts(clips: int, seed: int) -> None:
    ids = [f"clip{place:04d}" for place in range(clips)]
    parts = random_parts(ids, numbers(seed))
    assert {name: int((parts == name).sum()) for name in ("train", "val", "test")} == part_sizes(clips)
    order = numbers(seed + 1).permutation(clips)
    moved = random_parts([ids[place] for place in order], numbers(seed))
    assert np.array_equal(moved, parts[order])  # the order in which clips are listed does not matter
    expected = np.array(ids)[numbers(seed).permutation(clips)]
    assert set(np.array(ids)[parts == "train"]) == set(expected[: part_sizes(clips)["train"]])
    assert set(np.array(ids)[parts == "test"]) == set(expected[clips - part_sizes(clips)["test"] :])


def test_bad_ids_are_refused() -> None:
    with pytest.raises(UserError, match="9 clips leave none for test"):
        random_parts([f"clip{place}" for place in range(9)], numbers())
    with pytest.raises(UserError, match="have only 1 different ids"):
        random_parts(["clip"] * 20, numbers())


# Names


def names_file(path: Path, **changed: str) -> Path:
    names = {**NAMES, DOG: "Dog", **changed}
    lines = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(names.items()))
    path.write_text("index,mid,display_name\n" + lines, encoding="utf-8")
    return path


def test_class_names(tmp_path: Path) -> None:
    names = read_class_names(names_file(tmp_path / "names.csv"))
    assert names[URBAN] == "Outside, urban or manmade" and names[DOG] == "Dog" and len(names) == len(NAMES) + 1
    wrong = names_file(tmp_path / "wrong.csv", **{RURAL: "Inside, small room"})
    with pytest.raises(UserError, match="/t/dd00129 is 'Inside, small room' instead of 'Outside, rural or natural'"):
        read_class_names(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: the file is empty"),
        ("mid,index\n", "row 1: the header is not"),
        ("index,mid,display_name\n1,/m/1,A\n", "row 2: '1,/m/1,A' is not <index>,<mid>,<name>"),
        ("index,mid,display_name\n0,/m/1,A\n1,/m/1,B\n", "row 3: "),
        ("index,mid,display_name\n0,/m/1,A,B\n", "row 2: "),
        ("index,mid,display_name\n0,/m/1,A\n", "is None instead of 'Outside, urban or manmade'"),
    ],
)
def test_bad_class_names(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"names\.csv.*{message}"):
        read_class_names(path)
