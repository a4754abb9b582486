"""
Terminals of somebody who follows a page: commands are typed there, and servers go on.

With nothing of this suite's environment but the packages that it lends, wsorigin
excepted: that one comes from the wheel, built here as it is published.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path
from typing import Final

from .pages import DOCS, is_as_printed
from .services import missing
from .waiting import eventually

# From the start of a process to its first answer, on a machine busy with others.
TIMEOUT: Final = 120.0


@dataclass
class Terminals:
    """A folder that was empty, one with wheels for pip, and what goes on running."""

    folder: Path
    wheels: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        # As after ". .venv/bin/activate", which is forgotten with each command's shell.
        own, ours = self.folder / ".venv/bin", Path(sys.executable).parent
        self.environment = {
            "HOME": str(self.folder.parent),
            "LANG": "C.UTF-8",
            "PATH": f"{own}{os.pathsep}{ours}{os.pathsep}{os.environ['PATH']}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, command: str, printed: str = "…") -> str:
        """Run a command, compare what it prints, and return that."""
        shell = ["bash", "-c", command]
        result = subprocess.run(  # noqa: S603  # of our own page
            shell,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert is_as_printed(printed, result.stdout), f"$ {command}\n{result.stdout}"
        return result.stdout

    def start(self, command: str, printed: str) -> Path:
        """Start what goes on, wait until it prints this, and return its log."""
        shell = ["bash", "-c", command]
        log = self.folder.parent / f"terminal{len(self.running)}"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # as above
                shell,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append(process)

        def shown() -> str:
            text = log.read_text()
            assert process.poll() is None, f"$ {command}\n{text}"
            return text

        wait_for(printed, shown)
        return log

    def lend_packages(self, *folders: Path) -> None:
        """
        Let the environment have what is installed here, except wsorigin.

        So pip has the wheel to install, and its dependencies are there already; and
        let it have the packages in these folders.
        """
        packages = self.folder.parent / "packages"
        packages.mkdir()
        for path in Path(get_path("purelib")).iterdir():
            if "wsorigin" not in path.name and path.suffix != ".pth":
                (packages / path.name).symlink_to(path)
        [own] = self.folder.glob(".venv/lib/python*/site-packages")
        lines = [f"{folder}\n" for folder in (packages, *folders)]
        (own / "lent.pth").write_text("".join(lines))


def wait_for(printed: str, shown: Callable[[], str]) -> None:
    """Wait until something shows what is printed on the page."""
    eventually(
        lambda: is_as_printed(printed, shown()),
        TIMEOUT,
        lambda: f"{printed}\nis not:\n{shown()}",
    )


@contextmanager
def ending(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End the servers, with the processes that they have started themselves."""
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):  # ended by itself: a test has seen why
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(TIMEOUT)


def build_wheel(folder: Path) -> Path:
    """Build the package as it is published; return the folder that it is in."""
    if find_spec("hatchling") is None:  # pragma: no cover  # not in CI
        missing("no hatchling is installed (requirements.txt)")
    options = ["--wheel", "--no-isolation", "--outdir", str(folder)]
    run = [sys.executable, "-m", "build", *options, str(DOCS.parent)]
    subprocess.run(run, check=True, capture_output=True, timeout=TIMEOUT)  # noqa: S603
    return folder
