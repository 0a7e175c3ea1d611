"""Whether the server of an ssh remote is the one that it should be, and answers.

DVC 3.67 takes any server's key, and waits half an hour for one that is silent. So before DVC is run, OpenSSH opens the
same service on the same server: with the keys in known_hosts, and within seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flowkeeper.errors import UserError
from flowkeeper.programs import TIMED_OUT, Finished, Say, run

ANSWER_S = 10  # for the connection and the greeting each
_AT_MOST_S = 14.0  # for all of it
_SECRETS = ("password", "ask_password", "passphrase", "ask_passphrase")  # with which DVC logs in, and OpenSSH is not to


def obstacle(url: str, settings: Mapping[str, str], say: Say) -> str | None:
    """Why the server behind `url` is not to be used or cannot be, in a sentence; None when all is well.

    settings: DVC's of the remote (port, user, keyfile, ...). Only ssh is looked at: of https, which the others use, the
    library checks the server.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ssh", "sftp") or not parts.hostname:
        return None
    try:
        port = settings.get("port") or parts.port
    except ValueError:
        return f"{url}: not an address with a port; fix it with `dvc remote modify NAME url ssh://HOST:PORT/PATH`"
    words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"ConnectTimeout={ANSWER_S}"]
    words += ["-p", str(port)] if port else []
    user = settings.get("user") or parts.username
    words += ["-l", user] if user else []
    words += ["-i", settings["keyfile"]] if settings.get("keyfile") else []
    try:
        done = run([*words, "-s", "--", parts.hostname, "sftp"], None, say, timeout_s=_AT_MOST_S)
    except UserError:
        return "ssh: no such program; install OpenSSH's client, which checks the server's key before DVC is run"
    return _told(done, f"{parts.hostname}{f':{port}' if port else ''}", any(settings.get(name) for name in _SECRETS))


def _told(done: Finished, server: str, secret: bool) -> str | None:
    """What OpenSSH's end means; secret: whether DVC has a password, without which nobody gets in here."""
    said, denied = done.errors, ("Permission denied", "Too many authentication failures")
    accepted = secret and any(word in done.errors for word in denied)  # the server's key was right
    if done.status == 0 or accepted:
        return None
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said or "is revoked" in said:
        return (
            f"the server {server} has another key than the one in known_hosts: somebody else may answer in its place."
            " Nothing was sent. Ask its administrator; if the server is new, `ssh-keygen -R` its name and log in once"
        )
    if "Host key verification failed" in said or "host key is known for" in said:
        return (
            f"the key of the server {server} is not in known_hosts; log in once with `ssh`, and compare the key that it"
            " shows with what the server's administrator says"
        )
    if any(word in said for word in denied):
        return (
            f"the server {server} does not accept your key ({done.fault}); name the right one:"
            " `dvc remote modify --local NAME keyfile PATH`"
        )
    silent = done.status == TIMED_OUT or "timed out" in said.lower() or "timeout" in said.lower()
    problem = "does not answer" if silent else f"cannot be used ({done.fault})"
    return f"the server {server} {problem}; try again when `ssh` to it works"
