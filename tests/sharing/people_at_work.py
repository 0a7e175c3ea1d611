"""Two people with real git and DVC, a folder as remote, and a small result set made by pretended jobs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from published_set import BEGIN, CARD, FILES, NAME, Checkout, make_everything
from workspace import REPOSITORY

from avbalance.provenance.restore import Restored
from avbalance.sharing.fetch import fetch
from avbalance.sharing.objects import Cache, read_pointer
from avbalance.sharing.programs import program
from avbalance.sharing.publish import publish

CARRIED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
STORE = str(Path(CARD).parent)
ARRAY = f"{STORE}/features.npy"
ARRAY_BYTES = bytes(range(256)) * 40
LEDGER = f"results/{NAME}/provenance.jsonl"


@dataclass(frozen=True)
class SmallPlan:
    """What publishing asks of a plan."""

    name: str = NAME
    files: tuple[str, ...] = tuple(FILES)
    config: dict[str, Any] = field(default_factory=lambda: {"name": NAME})
    codes: dict[Any, str] = field(default_factory=dict)

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    def artifacts(self) -> list[str]:
        return list(self.files)

    def unasked(self) -> list[str]:
        return []

    def bulk(self) -> list[str]:
        return [ARRAY, f"{STORE}/array.json"]


@dataclass(frozen=True)
class Person:
    """A checkout and what the commands said in it."""

    root: Path
    said: list[str] = field(default_factory=list)

    def git(self, *words: str) -> str:
        return self._run("git", *words)

    def dvc(self, *words: str) -> str:
        return self._run(program("dvc"), *words)

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "work")

    def publish(self, features: bool = False, dry: bool = False) -> str:
        """What publishing says."""
        self.said.clear()
        publish(self.root, [], [], features, dry, self.said.append)
        return "\n".join(self.said)

    def fetch(self, *only: str, name: str | None = None, features: bool = False) -> Restored:
        self.said.clear()
        return fetch(self.root, name, only, features, self.said.append)

    @property
    def commands(self) -> list[str]:
        """What was run on behalf of the last command, without the settings that every command asks for."""
        shown = [line.removeprefix("$ ") for line in self.said if line.startswith("$ ")]
        return [line for line in shown if not line.startswith("dvc config")]

    def clone(self, target: Path) -> Person:
        subprocess.run(["git", "clone", "-q", str(self.root), str(target)], check=True)
        person = Person(target)
        person.introduce()
        return person

    def introduce(self) -> None:
        self.git("config", "user.name", "somebody")
        self.git("config", "user.email", "somebody@example.org")

    def files(self) -> dict[str, bytes]:
        """Content of everything under data/ and results/ but the pointers."""
        paths = [path for name in ("data", "results") for path in sorted((self.root / name).rglob("*"))]
        found = {str(path.relative_to(self.root)): path.read_bytes() for path in paths if path.is_file()}
        return {path: content for path, content in found.items() if not path.endswith(".dvc")}

    def damage(self, path: str, keep_times: bool = True) -> None:
        """Change the last byte of a file."""
        target = self.root / path
        before, content = target.stat(), target.read_bytes()
        target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        if keep_times:
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))

    def delete(self, *paths: str) -> None:
        for path in paths:
            (self.root / path).unlink()

    def listed(self, folder: str) -> set[str]:
        """Files that the pointer of a folder stands for."""
        pointer = read_pointer(self.root, folder)
        return set(Cache(self.root / ".dvc" / "cache").listing(pointer))


def address(store: Path, content: bytes) -> Path:
    """Where DVC keeps some bytes, in its cache or in a folder that is a remote."""
    md5 = hashlib.md5(content).hexdigest()
    return store / "files" / "md5" / md5[:2] / md5[2:]


def write_array(checkout: Checkout) -> None:
    """An array of a feature store, and the card that knows it."""
    card = {"sha256": hashlib.sha256(ARRAY_BYTES).hexdigest(), "bytes": len(ARRAY_BYTES)}
    record = checkout.record(CARD)
    checkout.write(CARD, json.dumps(card).encode(), record["endtime"])
    (checkout.root / ARRAY).write_bytes(ARRAY_BYTES)


def begin(root: Path, remote: Path) -> Person:
    """Somebody who has made a result set and chosen a remote; nothing is published."""
    for name in CARRIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    checkout = make_everything(root, begun=BEGIN)
    write_array(checkout)
    remote.mkdir()
    person = Person(root)
    person.git("init", "-q", "-b", "main")
    person.introduce()
    # Relative, so that publisher and remote can be copied together.
    person.dvc("remote", "add", "--quiet", "--default", "store", os.path.relpath(remote, root))
    person.commit()
    return person
