"""Generated clips that are absent beside their manifest are made again; builds that are killed or run side by side."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avbalance.data import sources
from avbalance.data.build import ensure_media
from avbalance.data.manifest import Manifest, make_manifest, read_manifest, write_manifest
from avbalance.errors import UserError
from flowkeeper.files import exclusive, read_json, sha256_file, write_json

OPTIONS = {
    "seed": 11,
    "classes": 3,
    "clips": {"train": 5, "val": 2, "test": 3},
    "discrepancy_beta": [2.4, 1.2],
    "snr_audio_db": [-30.0, -2.0],
    "snr_visual_db": [-10.0, 14.0],
    "duration": 1.0,
    "side": 32,
}
SPEC = {"kind": "synthetic", "stands_for": "Toy", "describe": "generated", "options": OPTIONS}
RECIPES = {"audio": "logmel8x16-1s", "visual": "fps1-middle-8-2s"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest and media of ten clips; to be read only."""
    path = tmp_path_factory.mktemp("original") / "toy" / "manifest.parquet"
    write_manifest(sources.build("toy", SPEC, path.parent), path)
    return path


@pytest.fixture
def fetched(original: Path, tmp_path: Path) -> Path:
    """What a colleague gets: the manifest alone."""
    path = tmp_path / "data" / "toy" / "manifest.parquet"
    path.parent.mkdir(parents=True)
    shutil.copy(original, path)
    return path


def clips(manifest: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in (manifest.parent / "media").glob("*.mp4")}


def test_a_manifest_alone_is_enough_to_have_the_clips(original: Path, fetched: Path) -> None:
    before = fetched.read_bytes(), fetched.stat().st_mtime_ns
    ensure_media(fetched, workers=2)
    assert clips(fetched) == clips(original)
    assert (fetched.read_bytes(), fetched.stat().st_mtime_ns) == before
    assert read_json(fetched.parent / "media" / "settings.json") == read_json(original.parent / "media/settings.json")


def test_only_absent_clips_are_made_and_what_a_kill_left_is_swept_up(original: Path, fetched: Path) -> None:
    ensure_media(fetched)
    media = fetched.parent / "media"
    times = {path.name: path.stat().st_mtime_ns for path in media.glob("*.mp4")}
    for name in ("train-00003.mp4", "test-00000.mp4"):
        (media / name).unlink()
    (media / ".test-00000.mp4.x.partial").write_bytes(b"half a file")
    ensure_media(fetched)
    assert clips(fetched) == clips(original)
    new = {path.name: path.stat().st_mtime_ns for path in media.glob("*.mp4")}
    assert {name for name in new if new[name] != times[name]} == {"train-00003.mp4", "test-00000.mp4"}
    assert not list(media.glob("*.partial*"))


def test_clips_of_other_bytes_are_counted_in_a_warning(fetched: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = read_manifest(fetched)
    sums = ["of another encoder", "of another encoder", *manifest.frame["sha256"].tolist()[2:]]
    write_manifest(Manifest(manifest.frame.assign(sha256=sums), manifest.card), fetched)
    with caplog.at_level(logging.WARNING):
        ensure_media(fetched)
    (warning,) = caplog.messages
    assert "2 clips have other bytes than" in warning and str(fetched) in warning


def test_a_generator_that_now_makes_other_clips_is_not_let_loose(fetched: Path) -> None:
    manifest = read_manifest(fetched)
    planted = manifest.frame["planted_audio"].tolist()
    frame = manifest.frame.assign(planted_audio=[planted[0] / 2, *planted[1:]])
    write_manifest(make_manifest(frame.to_dict("records"), _without_digest(manifest), "toy"), fetched)
    with pytest.raises(UserError, match=r"plans others than the manifest of toy lists; .*--forcerun dataset_toy "):
        ensure_media(fetched)
    assert not (fetched.parent / "media").exists()


def _without_digest(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in manifest.card.items() if key != "digest"}


@pytest.mark.parametrize("kind", ["folder", "of-my-own"])
def test_clips_of_other_sources_are_left_to_be_counted_as_lost(fetched: Path, kind: str) -> None:
    manifest = read_manifest(fetched)
    card = {**_without_digest(manifest), "kind": kind}
    write_manifest(make_manifest(manifest.frame.to_dict("records"), card, "toy"), fetched)
    ensure_media(fetched)
    assert not (fetched.parent / "media").exists()


@pytest.mark.parametrize("root", ["{outside}", "../../elsewhere"])
def test_generated_clips_are_written_beside_their_manifest_alone(fetched: Path, tmp_path: Path, root: str) -> None:
    manifest = read_manifest(fetched)
    card = {**manifest.card, "media_root": root.format(outside=tmp_path / "outside")}
    write_manifest(Manifest(manifest.frame, card), fetched)
    with pytest.raises(UserError, match="generated clips are written to media/ beside their manifest and nowhere else"):
        ensure_media(fetched)
    assert not (tmp_path / "outside").exists() and not (tmp_path / "elsewhere").exists()


def test_clips_that_come_to_others_of_unknown_settings_leave_no_mark(fetched: Path) -> None:
    ensure_media(fetched)
    media = fetched.parent / "media"
    (media / "train-00003.mp4").unlink()
    (media / "train-00000.mp4").write_bytes(b"made by an older generator")
    write_json(media / "settings.json", {"digest": "of the older generator"})
    ensure_media(fetched)
    assert (media / "train-00000.mp4").read_bytes() == b"made by an older generator"
    assert (media / "train-00003.mp4").exists()
    assert not (media / "settings.json").exists()
    whole = sources.build("toy", SPEC, fetched.parent)
    assert whole.frame["sha256"].tolist() == read_manifest(fetched).frame["sha256"].tolist()


# --- Processes ---


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def test_the_features_step_works_from_a_manifest_alone(original: Path, fetched: Path, tmp_path: Path) -> None:
    for manifest, folder in ((original, "original"), (fetched, "fetched")):
        command = [sys.executable, "-m", "avbalance", "features", "--manifest", str(manifest), "--out", folder]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), input=json.dumps(RECIPES), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "10 of 10 generated files are absent and made again" in done.stderr
    for store in ("audio-logmel8x16-1s", "visual-fps1-middle-8-2s"):
        for name in ("features.npy", "index.parquet", "card.json"):
            assert (tmp_path / "fetched" / store / name).read_bytes() == (
                tmp_path / "original" / store / name
            ).read_bytes()


BUILD = """
import json, logging, sys
from pathlib import Path
from avbalance.data import sources
logging.basicConfig(level=logging.INFO, format="%(message)s")
if __name__ == "__main__":
    sources.build("toy", json.loads(sys.argv[1]), Path(sys.argv[2]))
"""


def build(folder: Path, **options: Any) -> subprocess.Popen[str]:
    """The data step in a process of its own; from a file, so that it can start further processes."""
    program = folder.with_name("build.py")
    program.write_text(BUILD)
    spec = json.dumps({**SPEC, "options": {**OPTIONS, **options}})
    command = [sys.executable, str(program), spec, str(folder)]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)


def test_a_second_build_waits_and_leaves_the_files_of_the_first_one_alone(tmp_path: Path) -> None:
    media = tmp_path / "toy" / "media"
    with exclusive(media / ".lock", "generates"):
        theirs = media / ".train-00000.mp4.x.partial"
        theirs.write_bytes(b"being written")
        with build(tmp_path / "toy") as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            second.kill()
        assert theirs.exists()
    assert said == f"waiting: another process generates the clips in {media}\n"


def test_a_second_build_finds_the_clips_of_the_first_one(tmp_path: Path) -> None:
    both = [build(tmp_path / "toy") for _ in range(2)]
    assert [process.communicate(timeout=600) and process.returncode for process in both] == [0, 0]
    whole = sources.build("toy", SPEC, tmp_path / "toy")
    media = tmp_path / "toy" / "media"
    assert {f"{row.id}.mp4": row.sha256 for row in whole.frame.itertuples()} == {
        path.name: sha256_file(path) for path in media.glob("*.mp4")
    }


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "what the test waits for never came"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")


def test_the_helpers_of_a_killed_build_end_with_it(tmp_path: Path) -> None:
    media = tmp_path / "toy" / "media"
    first = build(tmp_path / "toy", workers=2, clips={"train": 2000, "val": 2, "test": 2})
    wait_until(lambda: len(list(media.glob("train-*.mp4"))) > 3)
    helpers = children(first.pid)
    assert len(helpers) >= 2
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    wait_until(lambda: not any(alive(pid) for pid in helpers))
    assert len(list(media.glob("train-*.mp4"))) < 2000
    whole = sources.build("toy", SPEC, tmp_path / "toy")
    assert len(whole.frame) == 10
    assert not list(media.glob("*.partial*"))
