"""Arrays that are absent beside their cards: made again, by one process, and named as what they are."""

import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from clip_files import grey_steps, tone, write_clip_manifest, write_mp4

from avbalance.data.manifest import make_manifest, read_manifest, write_manifest
from avbalance.errors import UserError
from avbalance.features import arrays
from avbalance.features.arrays import ensure_arrays
from avbalance.features.extract import extract
from avbalance.features.store import array_is_there, open_store
from flowkeeper.files import read_json, sha256_file, write_json

SMALL = {"audio": "logmel8x16-1s", "visual": "fps1-middle-8-2s"}


@pytest.fixture
def made(tmp_path):
    """A manifest of three clips, one of them lost, and its stores."""
    (tmp_path / "media").mkdir()
    write_mp4(tmp_path / "media" / "a.mp4", grey_steps(16), tone(2.0))
    write_mp4(tmp_path / "media" / "b.mp4", grey_steps(16)[::-1], tone(2.0, frequency=880.0))
    manifest = write_clip_manifest(tmp_path, ["a.mp4", "absent.mp4", "b.mp4"])
    return manifest, extract(manifest, SMALL, tmp_path / "out")


def identity(stores):
    """Card and index of every store, with their times."""
    paths = [folder / name for folder in stores.values() for name in ("card.json", "index.parquet")]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def remove_arrays(stores, *names):
    for folder in stores.values():
        for name in names or ("features.npy", "array.json"):
            (folder / name).unlink()


def rewrite_card(folder, **changes):
    write_json(folder / "card.json", read_json(folder / "card.json") | changes)


def test_absent_arrays_are_made_again_in_one_pass_and_nothing_else(tmp_path, made, monkeypatch, caplog):
    manifest, stores = made
    before, arrays_before = identity(stores), {name: sha256_file(stores[name] / "features.npy") for name in stores}
    passes = []
    prepare = arrays.prepare
    monkeypatch.setattr(arrays, "prepare", lambda *given: passes.append(set(given[1])) or prepare(*given))
    remove_arrays(stores)
    with caplog.at_level(logging.INFO):
        ensure_arrays(manifest, stores, tmp_path / "state")
    assert passes == [{"audio", "visual"}]
    assert identity(stores) == before
    assert {name: sha256_file(stores[name] / "features.npy") for name in stores} == arrays_before
    assert sum("made again, the same bytes" in line for line in caplog.messages) == 2
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["locks"]
    assert all(array_is_there(folder) for folder in stores.values())
    assert "made_again" not in open_store(stores["audio"]).card
    (stores["visual"] / "features.npy").unlink()
    ensure_arrays(manifest, stores, tmp_path / "state")
    assert passes[1:] == [{"visual"}]
    assert identity(stores) == before


def test_where_all_is_there_not_even_the_manifest_is_read(tmp_path, made):
    ensure_arrays(tmp_path / "no such manifest", made[1], tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_store_without_a_card_is_none_of_this(tmp_path, made):
    manifest, stores = made
    remove_arrays(stores, "features.npy", "card.json")
    ensure_arrays(manifest, stores, tmp_path / "state")
    with pytest.raises(UserError, match=r"no complete feature store \(card\.json absent\)"):
        open_store(stores["audio"])


def test_other_bytes_than_published_are_used_and_named(tmp_path, made, caplog):
    manifest, stores = made
    actual = sha256_file(stores["audio"] / "features.npy")
    libraries = read_json(stores["audio"] / "card.json")["libraries"]
    for folder in stores.values():  # published by a machine with another codec
        rewrite_card(folder, sha256="0" * 64, libraries=libraries | {"av": "1.2.3"})
    remove_arrays(stores)
    before = identity(stores)
    with caplog.at_level(logging.WARNING):
        ensure_arrays(manifest, stores, tmp_path / "state")
    assert len(caplog.messages) == 2
    sentence = f"other bytes than the published array (av {libraries['av']} instead of 1.2.3)"
    assert all(sentence in line and "slightly different features" in line for line in caplog.messages)
    assert identity(stores) == before
    store = open_store(stores["audio"])
    assert (store.card["sha256"], store.card["made_again"]) == (actual, True)
    assert read_json(stores["audio"] / "array.json")["card_sha256"] == "0" * 64
    ensure_arrays(tmp_path / "no such manifest", stores, tmp_path / "state")  # nothing more to do
    extract(manifest, SMALL, tmp_path / "out")
    assert "made_again" not in open_store(stores["audio"]).card


def test_an_array_that_came_with_its_card_is_compared_and_kept(tmp_path, made):
    _, stores = made
    arrays_before = {folder: (folder / "features.npy").stat().st_ino for folder in stores.values()}
    remove_arrays(stores, "array.json")
    ensure_arrays(tmp_path / "no such manifest", stores, tmp_path / "state")
    assert {folder: (folder / "features.npy").stat().st_ino for folder in stores.values()} == arrays_before
    assert all(array_is_there(folder) for folder in stores.values())


@pytest.mark.parametrize("what", ["of the same size", "cut off", "of an earlier card"])
def test_an_array_that_does_not_belong_to_the_card_is_made_again(tmp_path, made, what):
    manifest, stores = made
    path = stores["audio"] / "features.npy"
    actual, good = sha256_file(path), path.read_bytes()
    if what == "of an earlier card":
        rewrite_card(stores["audio"], sha256="0" * 64)
    else:
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if what == "of the same size" else good[:-9])
    ensure_arrays(manifest, stores, tmp_path / "state")
    assert sha256_file(path) == actual
    assert open_store(stores["audio"]).card["sha256"] == actual


def another_manifest(path, clips):
    manifest = read_manifest(path)
    frame = manifest.frame.assign(sha256=["another"] * clips)
    card = {key: value for key, value in manifest.card.items() if key != "digest"}
    write_manifest(make_manifest(frame.to_dict("records"), card, "toy"), path)


def shorten(path):
    write_mp4(path, grey_steps(8), tone(1.0))


REFUSALS = {
    "recipe": (
        lambda folder, stores: rewrite_card(
            stores["audio"], recipe=read_json(stores["audio"] / "card.json")["recipe"] | {"hop": 1}
        ),
        "recipe logmel8x16-1s is not what it was",
    ),
    "manifest": (lambda folder, stores: another_manifest(folder / "manifest.parquet", 3), "made from another .* this"),
    "fewer clips": (lambda folder, stores: (folder / "media" / "b.mp4").write_bytes(b"noise"), "1 of 3 clips can be"),
    "other clips": (
        lambda folder, stores: os.rename(folder / "media" / "a.mp4", folder / "media" / "absent.mp4"),
        "2 of 3 clips can be read now, 2 when",
    ),
    "fewer frames": (lambda folder, stores: shorten(folder / "media" / "b.mp4"), "or their frames differ"),
}


@pytest.mark.parametrize("case", list(REFUSALS))
def test_what_would_not_be_the_same_store_is_refused(tmp_path, made, case):
    manifest, stores = made
    alter, sentence = REFUSALS[case]
    alter(tmp_path, stores)
    remove_arrays(stores)
    before = identity(stores)
    with pytest.raises(UserError, match=rf"{sentence}.*type snakemake --forcerun features_toy "):
        ensure_arrays(manifest, stores, tmp_path / "state")
    assert identity(stores) == before
    assert not any((folder / "features.npy").exists() for folder in stores.values())


def test_mended_media_are_read_again_after_a_refusal(tmp_path, made):
    manifest, stores = made
    remove_arrays(stores)
    (tmp_path / "media" / "b.mp4").rename(tmp_path / "b.mp4")
    with pytest.raises(UserError, match="fix the media, or type snakemake"):
        ensure_arrays(manifest, stores, tmp_path / "state")
    (tmp_path / "b.mp4").rename(tmp_path / "media" / "b.mp4")
    ensure_arrays(manifest, stores, tmp_path / "state")
    assert "made_again" not in open_store(stores["audio"]).card


PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
from avbalance.features.arrays import ensure_arrays
ensure_arrays(sys.argv[1], {"audio": sys.argv[2], "visual": sys.argv[3]}, sys.argv[4])
"""


def test_of_processes_that_ask_at_the_same_time_one_makes_the_arrays(tmp_path, made):
    manifest, stores = made
    remove_arrays(stores)
    command = [sys.executable, "-c", PROGRAM, *map(str, (manifest, *stores.values(), tmp_path / "state"))]
    asking = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=600)[1] for process in asking]
    assert [process.returncode for process in asking] == [0, 0, 0], said
    assert sum("made again, the same bytes" in text for text in said) == 1
    assert all(array_is_there(folder) for folder in stores.values())


def test_what_a_killed_process_had_done_is_not_done_again(tmp_path, made, monkeypatch):
    manifest, stores = made
    remove_arrays(stores)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "_difference", killed)
        with pytest.raises(KeyboardInterrupt):
            ensure_arrays(manifest, stores, tmp_path / "state")
    shutil.rmtree(tmp_path / "media")  # nothing can be decoded any more
    ensure_arrays(manifest, stores, tmp_path / "state")
    assert np.isfinite(open_store(stores["audio"]).array).all()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["locks"]
