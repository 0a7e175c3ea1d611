import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, namedtuple
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clip_files import RATE, grey_steps, tone, write_clip_manifest, write_mp4, write_wav
from real_data import real

from avbalance.errors import UserError
from avbalance.features.extract import extract, prepare, stores_locked, unfinished
from avbalance.features.recipes import chosen_recipes
from avbalance.features.store import open_store
from flowkeeper.files import sha256_file

SMALL = {"audio": "logmel8x16-1s", "visual": "fps1-middle-8-2s"}


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


def write_distinct(folder: Path, count: int) -> list[str]:
    """Half a second of sound per clip, told apart by its pitch."""
    names = []
    for number in range(count):
        names.append(write_wav(folder / f"{number:03d}.wav", tone(0.5, RATE, 200 + 20 * number)).name)
    return names


def bytes_of(out: Path) -> dict[str, str]:
    """Digests of all files but array.json, which speaks of one file on one disk."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "array.json"]
    return {str(path.relative_to(out)): sha256_file(path) for path in paths}


def version_of(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def unfinished_in(state: Path) -> list[Path]:
    return [path for path in state.iterdir() if path.name != "locks"]


def test_a_store_holds_usable_clips_in_manifest_order_and_accounts_for_the_rest(tmp_path, media):
    write_mp4(media / "good.mp4", grey_steps(16), tone(2.0))
    write_mp4(media / "mute.mp4", grey_steps(16), None)
    write_mp4(media / "quiet.mp4", np.zeros((16, 64, 64, 3), np.uint8), np.zeros(2 * RATE, np.float32))
    (media / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    names = ["noise.mp4", "good.mp4", "mute.mp4", "absent.mp4", "quiet.mp4", "known.mp4"]
    manifest = write_clip_manifest(tmp_path, names, status=["ok"] * 5 + ["missing"], reason=[""] * 5 + ["never came"])
    out = extract(manifest, SMALL, tmp_path / "out")
    audio, visual = open_store(out["audio"]), open_store(out["visual"])
    assert out["audio"] == tmp_path / "out" / "audio-logmel8x16-1s"
    assert out["visual"] == tmp_path / "out" / "visual-fps1-middle-8-2s"
    statuses = {"audio": ["corrupt", "ok", "no_audio", "missing", "silent", "missing"]}
    statuses["visual"] = ["corrupt", "ok", "ok", "missing", "black", "missing"]
    assert audio.index["status"].tolist() == statuses["audio"]
    assert visual.index["status"].tolist() == statuses["visual"]
    assert audio.index["row"].tolist() == [-1, 0, -1, -1, 1, -1]
    assert visual.index["row"].tolist() == [-1, 0, 1, -1, 2, -1]
    assert audio.index["reason"].iloc[5] == "never came"
    assert (audio.array.shape, audio.array.dtype) == ((2, 8, 16), np.float16)
    assert (visual.array.shape, visual.array.dtype) == ((3, 2, 8, 8, 3), np.uint8)
    # Frames 4 and 12 of `grey_steps` are 20 + 24 and 20 + 72 grey; the codec may be off by a few levels.
    assert np.abs(visual.array[0].mean(axis=(1, 2, 3)) - [44, 92]).max() < 4
    assert audio.card["losses"] == {"corrupt": 1, "missing": 2, "no_audio": 1}
    assert (audio.card["flagged"], visual.card["flagged"]) == ({"silent": 1}, {"black": 1})
    assert visual.index[["n_frames", "width", "height", "duration"]].iloc[1].tolist() == [2, 64, 64, 2.0]
    assert audio.card["sha256"] == sha256_file(out["audio"] / "features.npy")
    assert audio.card["recipe"]["name"] == "logmel8x16-1s"
    assert np.array_equal(np.load(out["audio"] / "features.npy", allow_pickle=False), audio.array)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_one_modality_alone_and_separate_files(tmp_path, media):
    write_wav(media / "a.wav", tone(1.0))
    write_mp4(media / "v.mp4", grey_steps(16), None)
    manifest = write_clip_manifest(tmp_path, ["v.mp4"], audio=["a.wav"])
    both = extract(manifest, SMALL, tmp_path / "both")
    alone = extract(manifest, {"audio": SMALL["audio"]}, tmp_path / "alone")
    assert set(alone) == {"audio"}
    assert np.array_equal(open_store(both["audio"]).array, open_store(alone["audio"]).array)
    assert open_store(both["visual"]).index["status"].tolist() == ["ok"]


def test_a_set_without_usable_clips_still_makes_a_readable_store(tmp_path, media):
    manifest = write_clip_manifest(tmp_path, ["absent.mp4"])
    store = open_store(extract(manifest, SMALL, tmp_path / "out")["visual"])
    assert store.array.shape == (0, 2, 8, 8, 3)
    assert store.card["losses"] == {"missing": 1}


def test_a_full_disk_is_noticed_before_the_first_clip(tmp_path, media, monkeypatch):
    manifest = write_clip_manifest(tmp_path, [f"{number}.mp4" for number in range(10)])
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 5_000, 5_000))
    # 10 clips of 8 * 16 * 2 + 2 * 8 * 8 * 3 = 256 + 384 bytes
    with pytest.raises(UserError, match=r"needs 6,400 bytes but only 5,000 are free"):
        extract(manifest, SMALL, tmp_path / "out")


@pytest.mark.parametrize(
    ("audio", "visual", "shapes"),
    [
        ("decibel64-2s", "uniform8-small64", [(2, 64, 63), (2, 64)]),
        ("seconds10-mel128", "seconds10-grid8", [(2, 10, 128), (2, 10, 7, 7, 8)]),
    ],
)
def test_stores_of_vectors_are_the_same_bytes_again(tmp_path, media, audio, visual, shapes):
    write_mp4(media / "a.mp4", grey_steps(20).repeat(4, axis=0), tone(10.0))
    write_mp4(media / "b.mp4", np.zeros((32, 64, 64, 3), np.uint8), np.zeros(4 * RATE, np.float32))
    manifest = write_clip_manifest(tmp_path, ["a.mp4", "absent.mp4", "b.mp4"])
    out = extract(manifest, {"audio": audio, "visual": visual}, tmp_path / "one", tmp_path / "state")
    again = extract(manifest, {"audio": audio, "visual": visual}, tmp_path / "two", workers=2)
    stores = [open_store(folder) for folder in out.values()]
    assert [store.array.shape for store in stores] == shapes
    assert all(store.array.dtype == np.float16 and store.card["losses"] == {"missing": 1} for store in stores)
    assert "black" not in stores[0].card and ("black" in stores[1].card) == visual.startswith("uniform8")
    assert bytes_of(out["audio"]) == bytes_of(again["audio"]) and bytes_of(out["visual"]) == bytes_of(again["visual"])


def test_the_number_of_workers_does_not_show(tmp_path, media):
    write_mp4(media / "up.mp4", grey_steps(16), None)
    write_mp4(media / "down.mp4", grey_steps(16)[::-1], None)
    videos = ["up.mp4", "down.mp4"] * 35
    manifest = write_clip_manifest(tmp_path, write_distinct(media, 70), visual=videos)
    for workers in (1, 3):
        extract(manifest, SMALL, tmp_path / f"out{workers}", workers=workers)
    assert bytes_of(tmp_path / "out1") == bytes_of(tmp_path / "out3")
    audio = open_store(tmp_path / "out1" / "audio-logmel8x16-1s").array
    assert len(np.unique(audio.reshape(70, -1), axis=0)) == 70
    visual = open_store(tmp_path / "out1" / "visual-fps1-middle-8-2s").array
    brighter = visual[:, 1].mean(axis=(1, 2, 3)) > visual[:, 0].mean(axis=(1, 2, 3))
    assert brighter.tolist() == [True, False] * 35


RUN = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
sys.path[:0] = {paths!r}
from avbalance.features.extract import extract
extract({manifest!r}, {recipes!r}, {out!r}, {state!r}, decoder="decoder_faults:slow")
"""


def test_a_killed_extraction_goes_on_and_ends_in_the_same_bytes(tmp_path, media):
    names = write_distinct(media, 150)
    manifest = write_clip_manifest(tmp_path, names)
    audio = {"audio": SMALL["audio"]}
    extract(manifest, audio, tmp_path / "straight")
    state, out = tmp_path / "state", tmp_path / "out"
    paths = [entry for entry in sys.path if entry]
    program = RUN.format(paths=paths, manifest=str(manifest), recipes=audio, out=str(out), state=str(state))
    job = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 60
    while not any(b"\n" in journal.read_bytes() for journal in state.glob("*/journal.jsonl")):
        assert job.poll() is None, "the extraction ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not out.exists() or not list(out.rglob("card.json"))
    (folder,) = unfinished_in(state)
    safe = (folder / "journal.jsonl").read_bytes()
    # What a kill in the middle of a write leaves behind
    with (folder / "journal.jsonl").open("ab") as handle:
        handle.write(b'{"audio": [{"id"')
    with (folder / "audio" / "features.npy").open("ab") as handle:
        handle.write(b"half a row")
    extract(manifest, audio, out, state, decoder="decoder_faults:slow")
    assert bytes_of(out) == bytes_of(tmp_path / "straight")
    assert not folder.exists()
    calls = Counter((media / "calls.log").read_text().split())
    assert set(calls) == set(names)
    done = names[: 64 * safe.count(b"\n")]
    assert done
    assert {calls[name] for name in done} == {1}, "finished shards were decoded again"


def test_unfinished_stores_that_lost_their_array_start_over(tmp_path, media):
    manifest = write_clip_manifest(tmp_path, write_distinct(media, 70))
    audio = {"audio": SMALL["audio"]}
    straight = extract(manifest, audio, tmp_path / "straight")["audio"]
    state, out = tmp_path / "state", tmp_path / "out"
    with pytest.raises(RuntimeError):
        extract(manifest, audio, out, state, decoder="decoder_faults:absent")
    (folder,) = unfinished_in(state)
    shard = {"audio": [{"id": "c000", "row": 0, "status": "ok"}]}
    (folder / "journal.jsonl").write_text(json.dumps(shard) + "\n")
    assert not (folder / "audio" / "features.npy").stat().st_size > 1000
    with pytest.raises(RuntimeError):
        extract(manifest, audio, out, state, decoder="decoder_faults:absent")
    assert (folder / "journal.jsonl").read_bytes() == b""
    extract(manifest, audio, out, state)
    assert bytes_of(out / straight.name) == bytes_of(straight)


@contextmanager
def extracting_elsewhere(manifest: Path, recipes: dict[str, str], out: Path, state: Path) -> Iterator[Any]:
    """Another process that extracts the same, and has come so far that it waits."""
    paths = [entry for entry in sys.path if entry]
    program = RUN.format(paths=paths, manifest=str(manifest), recipes=recipes, out=str(out), state=str(state))
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("waiting: another process makes the features in ")
            yield process
        finally:
            process.kill()


def test_who_waited_for_the_same_extraction_takes_it_over(tmp_path, media):
    names = write_distinct(media, 3)
    manifest, state = write_clip_manifest(tmp_path, names), tmp_path / "state"
    recipes = chosen_recipes({"audio": SMALL["audio"]})
    targets = {"audio": tmp_path / "out" / "audio-logmel8x16-1s"}
    with ExitStack() as running:
        with stores_locked(targets.values(), state):
            second = running.enter_context(
                extracting_elsewhere(manifest, {"audio": SMALL["audio"]}, tmp_path / "out", state)
            )
            request = prepare(manifest, recipes, "decoder_faults:slow", workers=1)
            with unfinished(request, targets, state) as extraction:
                extraction.run(1, 60.0, "decoder_faults:slow")
                index, card = extraction.seal()["audio"]
                extraction.writers["audio"].publish(targets["audio"], index, card, request.key)
            made = version_of(targets["audio"] / "card.json")
        said = second.communicate(timeout=600)[1]
    assert second.returncode == 0
    assert "another process has made these stores meanwhile" in said
    assert version_of(targets["audio"] / "card.json") == made
    assert Counter((media / "calls.log").read_text().split()) == Counter(names)
    assert unfinished_in(state) == []


def test_what_was_made_during_the_wait_for_the_lock_is_taken_over(tmp_path, media):
    names = write_distinct(media, 2)
    manifest, audio = write_clip_manifest(tmp_path, names), {"audio": SMALL["audio"]}

    def run(**further):
        extract(manifest, audio, tmp_path / "out", tmp_path / "state", decoder="decoder_faults:slow", **further)

    @contextmanager
    def lock():
        run()  # another process, which had the lock before
        yield

    run(lock=lock())
    assert Counter((media / "calls.log").read_text().split()) == Counter(names)


def test_who_waited_for_another_extraction_makes_its_own(tmp_path, media):
    names = write_distinct(media, 3)
    manifest, state = write_clip_manifest(tmp_path, names), tmp_path / "state"
    target = tmp_path / "out" / "audio-logmel8x16-1s"
    with ExitStack() as running:
        with stores_locked([target], state):
            second = running.enter_context(
                extracting_elsewhere(manifest, {"audio": SMALL["audio"]}, tmp_path / "out", state)
            )
            extract(manifest, {"audio": SMALL["audio"]}, tmp_path / "out")  # as code of another version would
            made = version_of(target / "card.json")
        said = second.communicate(timeout=600)[1]
    assert second.returncode == 0
    assert "meanwhile" not in said
    assert version_of(target / "card.json") != made
    assert set((media / "calls.log").read_text().split()) == set(names)


def test_stores_that_are_asked_for_again_are_made_again(tmp_path, media):
    names = write_distinct(media, 2)
    manifest, audio = write_clip_manifest(tmp_path, names), {"audio": SMALL["audio"]}
    for _ in range(2):
        extract(manifest, audio, tmp_path / "out", tmp_path / "state", decoder="decoder_faults:slow")
    assert Counter((media / "calls.log").read_text().split()) == Counter(names * 2)


def test_real_clips_through_the_whole_extraction(tmp_path):
    source = real("avdigits")
    (tmp_path / "media").symlink_to(source)
    listed = pd.read_csv(source / "manifest.csv").head(40)
    manifest = write_clip_manifest(
        tmp_path, listed["id"].tolist(), audio=listed["audio"].tolist(), visual=listed["image"].tolist()
    )
    out = extract(manifest, {"audio": "logmel32x64-1s", "visual": "still-32"}, tmp_path / "out")
    audio, visual = open_store(out["audio"]), open_store(out["visual"])
    assert audio.array.shape == (40, 32, 64)
    assert visual.array.shape == (40, 1, 32, 32, 3)
    assert (audio.index["duration"] > 0.1).all()
    assert (audio.card["losses"], visual.card["losses"]) == ({}, {})
