"""Servers for a remote, on this machine and for one test: OpenSSH's, one of WebDAV, and one that never says a word."""

from __future__ import annotations

import getpass
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from daemons import Daemon, free_port, need, program, wait_for


def need_ssh() -> None:
    """Skip the test, or fail it where it must run, without OpenSSH."""
    need(("sshd", "ssh", "ssh-keygen"), "openssh-server openssh-client", root=False)


@dataclass
class SshServer:
    """A server that lets its owner in with one key, and a client that knows the server by its own known_hosts."""

    folder: Path
    port: int = field(default_factory=free_port)
    user: str = field(default_factory=getpass.getuser)

    def start(self) -> None:
        for name in ("host", "client", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        (self.folder / "authorized").write_bytes((self.folder / "client.pub").read_bytes())
        (self.folder / "store").mkdir()
        self.knows("host")
        self._wrap_client()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # as the package's service does
        settings = (
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nPidFile {self.folder}/pid\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\n"
            "MaxSessions 100\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
        )
        (self.folder / "sshd_config").write_text(settings)
        self.serve()

    def serve(self) -> None:
        """Start, or start again after `stop`."""
        command = [program("sshd") or "sshd", "-D", "-e", "-f", f"{self.folder}/sshd_config"]
        self.daemon = Daemon(command, self.folder / "sshd.log")
        wait_for(self._greets, 20, self.daemon.text)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        """End the server at once, and with it every connection."""
        connections = psutil.Process(self.daemon.process.pid).children()
        self.daemon.end()
        for connection in connections:
            with suppress(psutil.NoSuchProcess):
                connection.kill()

    def knows(self, name: str | None) -> None:
        """Let the client know the server by this key, or not at all."""
        key = (self.folder / f"{name}.pub").read_text().split(" ", 2)[:2] if name else []
        line = f"[127.0.0.1]:{self.port} {' '.join(key)}\n" if name else ""
        (self.folder / "known_hosts").write_text(line)

    def _wrap_client(self) -> None:
        """An ssh that takes its settings from here and not from the home folder of whoever runs the tests."""
        settings = (
            f"Host *\n  UserKnownHostsFile {self.folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
            "  IdentitiesOnly yes\n  IdentityAgent none\n"
        )
        (self.folder / "ssh_config").write_text(settings)
        (self.folder / "bin").mkdir()
        shim = self.folder / "bin" / "ssh"
        shim.write_text(f'#!/bin/sh\nexec {program("ssh")} -F {self.folder}/ssh_config "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)

    def settings(self, key: str = "client", port: int | None = None) -> list[list[str]]:
        """The commands of DVC after which the server is the default remote `store`."""
        url = f"ssh://{self.user}@127.0.0.1:{port or self.port}{self.folder}/store"
        return [
            ["remote", "add", "--quiet", "--default", "--force", "store", url],
            ["remote", "modify", "--quiet", "--local", "store", "keyfile", str(self.folder / key)],
        ]


@contextmanager
def silent_port() -> Iterator[int]:
    """A port on which everybody is let in and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        callers: list[socket.socket] = []

        def welcome() -> None:
            while True:
                try:
                    callers.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=welcome, daemon=True).start()
        port: int = listener.getsockname()[1]
        yield port
        listener.shutdown(socket.SHUT_RDWR)
        for caller in callers:
            caller.close()


@dataclass
class WebdavServer:
    """WsgiDAV on a folder, with a user and a password."""

    folder: Path
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        (self.folder / "store" / "results").mkdir(parents=True)  # DVC makes folders below it only
        settings = (
            f"host: 127.0.0.1\nport: {self.port}\nserver: cheroot\nprovider_mapping:\n  /: {self.folder}/store\n"
            "http_authenticator:\n  domain_controller: null\n"
            "simple_dc:\n  user_mapping:\n    '*':\n      ada: {password: secret}\nlogging:\n  enable: false\n"
        )
        (self.folder / "wsgidav.yaml").write_text(settings)
        command = [sys.executable, "-m", "wsgidav.server.server_cli", "--config", str(self.folder / "wsgidav.yaml")]
        self.daemon = Daemon(command, self.folder / "wsgidav.log")
        wait_for(self._listens, 40, self.daemon.text)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.daemon.end()

    def settings(self, password: str = "secret") -> list[list[str]]:
        url = f"webdav://127.0.0.1:{self.port}/results"
        return [
            ["remote", "add", "--quiet", "--default", "--force", "store", url],
            ["remote", "modify", "--quiet", "--local", "store", "user", "ada"],
            ["remote", "modify", "--quiet", "--local", "store", "password", password],
        ]
