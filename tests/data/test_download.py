"""Archives from a host: resumed, checked, unpacked in place; against a server of this machine."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avbalance.cli import main
from avbalance.data.download import download_grid
from avbalance.errors import UserError


def archive(files: dict[str, bytes]) -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


class Host:
    """A server that offers archives as Zenodo does, and tells what it was asked for."""

    def __init__(self) -> None:
        self.archives = {
            "alignments.zip": archive({"alignments/s1/bbaf2n.align": b"0 1 sil"}),
            "s1.zip": archive({"s1/bbaf2n.mpg": bytes(range(256)) * 40}),
        }
        self.checksums: dict[str, str] = {}
        self.ranges = True
        self.breaks_after: int | None = None  # bytes of an answer
        self.asked: list[tuple[str, str | None]] = []
        self.agents: set[str | None] = set()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.answer(self)

            def log_message(self, *given: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("/")[2]
        self.agents.add(request.headers.get("User-Agent"))
        if name == "record":
            self.send(request, 200, json.dumps({"files": [self.entry(each) for each in self.archives]}).encode())
            return
        wanted = request.headers.get("Range")
        self.asked.append((name, wanted))
        content = self.archives.get(name)
        if content is None:
            request.send_error(404)
        elif wanted and self.ranges:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.send(request, 206, content[first:], span)
        else:
            self.send(request, 200, content)

    def entry(self, name: str) -> dict[str, object]:
        content = self.archives[name]
        checksum = self.checksums.get(name, "md5:" + hashlib.md5(content).hexdigest())
        return {
            "key": name,
            "size": len(content),
            "checksum": checksum,
            "links": {"self": f"{self.address}/content/{name}"},
        }

    def send(self, request: BaseHTTPRequestHandler, status: int, content: bytes, span: str = "") -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        if span:
            request.send_header("Content-Range", span)
        request.end_headers()
        cut = self.breaks_after if not request.path.endswith("record") else None
        request.wfile.write(content[:cut])

    def get(self, folder: Path, *talkers: str) -> list[str]:
        said: list[str] = []
        download_grid(talkers or ["s1"], folder, f"{self.address}/record", said.append)
        return said


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


UNPACKED = {"alignments/s1/bbaf2n.align", "s1/bbaf2n.mpg"}
KEPT = UNPACKED | {".lock", ".alignments.zip.unpacked", ".s1.zip.unpacked"}


def test_archives_are_fetched_checked_and_unpacked_once(host: Host, tmp_path: Path) -> None:
    assert len(host.get(tmp_path)) == 2
    assert _files(tmp_path) == KEPT and (tmp_path / "s1/bbaf2n.mpg").stat().st_size == 10240
    assert host.asked == [("alignments.zip", None), ("s1.zip", None)]
    assert all(agent and agent.startswith("avbalance") for agent in host.agents)
    assert host.get(tmp_path) == ["alignments.zip: is there", "s1.zip: is there"] and len(host.asked) == 2
    host.archives["s1.zip"] = archive({"s1/bbaf2n.mpg": b"a new version"})
    host.get(tmp_path)
    assert (tmp_path / "s1/bbaf2n.mpg").read_bytes() == b"a new version"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(host: Host, tmp_path: Path, ranges: bool) -> None:
    host.get(tmp_path)
    (tmp_path / ".s1.zip.unpacked").unlink()
    (tmp_path / "s1/bbaf2n.mpg").unlink()
    host.asked, host.breaks_after = [], 3000
    with pytest.raises(UserError, match=r"s1\.zip: .*type the command again to go on"):
        host.get(tmp_path)
    assert (tmp_path / "s1.zip.part").stat().st_size == 3000
    host.breaks_after, host.ranges = None, ranges
    host.get(tmp_path)
    assert host.asked == [("s1.zip", None), ("s1.zip", "bytes=3000-")]
    assert _files(tmp_path) == KEPT


def test_other_bytes_than_the_host_lists_are_refused_and_removed(host: Host, tmp_path: Path) -> None:
    host.checksums["s1.zip"] = "md5:" + "0" * 32
    with pytest.raises(UserError, match=r"s1\.zip: did not arrive as its host lists it, and was removed"):
        host.get(tmp_path)
    assert not [name for name in _files(tmp_path) if name.startswith("s1")]


@pytest.mark.parametrize("name", ["../outside.txt", "s1/../../outside.txt", "/outside-of-all.txt"])
def test_an_archive_never_writes_outside_its_folder(host: Host, tmp_path: Path, name: str) -> None:
    host.archives["s1.zip"] = archive({"s1/bbaf2n.mpg": b"x", name: b"x"})
    with pytest.raises(UserError, match=r"s1\.zip: would write .*outside.* was not unpacked"):
        host.get(tmp_path / "grid")
    assert not (tmp_path / "outside.txt").exists() and not (tmp_path / "grid/s1").exists()


def test_a_damaged_archive_is_named(host: Host, tmp_path: Path) -> None:
    host.archives["s1.zip"] = b"no zip file at all"
    with pytest.raises(UserError, match=r"s1\.zip: not a readable zip file .*fetch it again"):
        host.get(tmp_path)


def test_talkers_that_the_host_does_not_have(host: Host, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"offers no s21\.zip; it has alignments\.zip, s1\.zip"):
        host.get(tmp_path, "s1", "s21")


def test_a_host_that_does_not_answer_and_one_that_answers_otherwise(host: Host, tmp_path: Path) -> None:
    for address, message in (
        (f"{host.address}/content/s1.zip", "is no list of files as Zenodo writes it"),
        (f"{host.address}/nothing", r"cannot be read \(HTTP Error 404"),
        ("http://127.0.0.1:9/record", "cannot be read .*try again later"),
        ("file:///etc/hostname", "is no web address"),
    ):
        with pytest.raises(UserError, match=message):
            download_grid(["s1"], tmp_path, address, print)


def test_the_command(host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["download", "grid", "--talkers", "s1", "--to", str(tmp_path), "--record", f"{host.address}/record"]
    assert main(command) == 0
    assert _files(tmp_path) == KEPT and "s1.zip: " in capsys.readouterr().out
