"""A checkout under git and DVC: DVC's settings, and whether its remote can be used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowkeeper import servers
from flowkeeper.cache import Cache, Pointer, read_pointer
from flowkeeper.errors import UserError
from flowkeeper.interface import Workflow
from flowkeeper.programs import Say, dvc

_LEVELS = {".dvc/config": [], ".dvc/config.local": ["--local"]}


@dataclass(frozen=True)
class Checkout:
    """A repository under git and DVC, and DVC's settings: key -> (value, file that says so)."""

    workflow: Workflow
    root: Path
    settings: dict[str, tuple[str, str]]

    @cached_property
    def cache(self) -> Cache:
        return Cache(self.root / self.settings.get("cache.dir", (".dvc/cache", ""))[0])

    def pointer(self, folder: str) -> Pointer:
        """What <folder>.dvc says; raises UserError when it is absent or no pointer to a folder."""
        return read_pointer(self.workflow, self.root, folder)

    def listing(self, folder: str) -> dict[str, str]:
        """Path -> md5 of what <folder>.dvc stands for; nothing where there is none or DVC's cache does not know."""
        if not (self.root / f"{folder}.dvc").exists():
            return {}
        pointer = self.pointer(folder)
        return self.cache.listing(pointer) if self.cache.good(pointer.listing) else {}

    @property
    def publish_again(self) -> str:
        return f"ask the publisher to run `{self.workflow.command} publish` again"

    @property
    def remote(self) -> str | None:
        """Name of the default remote."""
        name = self.settings.get("core.remote", ("", ""))[0]
        return name if f"remote.{name}.url" in self.settings else None

    @property
    def url(self) -> str:
        """Where the default remote is; a folder's path is absolute."""
        return self.settings[f"remote.{self.remote}.url"][0]

    @property
    def checks_arrivals(self) -> bool:
        """Whether DVC is told to check the md5 of what it gets from the default remote."""
        return self.settings.get(f"remote.{self.remote}.verify", ("", ""))[0].lower() == "true"

    @property
    def remote_level(self) -> list[str]:
        """The option with which `dvc remote modify` finds the default remote."""
        return _LEVELS.get(self.settings[f"remote.{self.remote}.url"][1], ["--global"])

    def reach_remote(self, say: Say) -> str | None:
        """Why there is no use in asking the default remote; None when there may be. A server is asked but once."""
        if self.remote is None:
            return (
                "no DVC remote is chosen; name the one to share through: `dvc remote add --default NAME URL`"
                f" ({self.workflow.guide})"
            )
        if "://" not in self.url and not Path(self.url).is_dir():
            return (
                f"the folder of the DVC remote {self.remote}, {self.url}, is not there; mount it, or say where it is:"
                f" `dvc remote modify --local {self.remote} url PATH`"
            )
        if "://" in self.url and not self._answered:
            said = servers.obstacle(self.url, self._remote_settings, say)
            if said:
                return f"the DVC remote {self.remote}: {said}"
            self._answered.append(self.url)
        return None

    @cached_property
    def _answered(self) -> list[str]:
        """Addresses of remotes that turned out well."""
        return []

    @property
    def _remote_settings(self) -> dict[str, str]:
        """DVC's settings of the default remote, without its name before each."""
        prefix = f"remote.{self.remote}."
        return {key.removeprefix(prefix): value for key, (value, _) in self.settings.items() if key.startswith(prefix)}


def open_checkout(workflow: Workflow, root: Path, say: Say) -> Checkout:
    """The checkout at `root`; raises UserError unless it is one of git and of DVC."""
    if not (root / ".git").exists() or not (root / ".dvc").is_dir():
        what = "git" if not (root / ".git").exists() else "DVC"
        raise UserError(
            f"{root.absolute()}: not the root of a {what} checkout; results are shared from a clone of the repository"
            " (`git clone`), in its topmost folder."
        )
    done = dvc(["config", "--list", "--show-origin"], root, say)
    if done.status != 0:
        raise UserError(f".dvc/config: DVC cannot read its settings ({done.fault}); mend the file.")
    settings = {}
    for line in done.output.splitlines():
        origin, _, setting = line.partition("\t")
        key, equals, value = setting.partition("=")
        if equals:
            settings[key] = (value, origin)
    return Checkout(workflow, root, settings)
