"""
Checks the wheel in a folder: what is in it, and that it works where it is installed.

    python -m build --outdir dist
    python scripts/check_wheel.py dist

It is installed into a new environment, whose site-packages are then made read-only, as
they are for a daemon that is not root; everything runs from another directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = "twisted/plugins/yallmp_plugin.py"


def check(truth: bool, message: str) -> None:
    """Stop with *message* unless it is the *truth*."""
    if not truth:
        sys.exit(f"check_wheel: {message}")


def the_wheel(folder: Path) -> Path:
    """The one wheel in *folder*."""
    wheels = list(folder.glob("yallmp-*.whl"))
    check(len(wheels) == 1, f"one wheel is expected in {folder}, not {len(wheels)}")
    return wheels[0].resolve()


def check_contents(wheel: Path) -> None:
    """Nothing but the package, the plugin and the metadata is in there."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    strays = [n for n in names if n.split("/")[0] != "yallmp" and ".dist-info/" not in n]
    check(strays == [PLUGIN], f"outside yallmp/ there is {strays}, not just {PLUGIN}")
    check("yallmp/py.typed" in names, "yallmp/py.typed is missing")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "yallmp").rglob("*.py")}
    check(sources <= names, f"not in the wheel: {sorted(sources - names)}")


def output(*command: str | Path, status: int = 0) -> str:
    """What *command* says; it must end with *status*."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "YALLMP"))}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=600, check=False
    )
    said = done.stdout + done.stderr
    check(done.returncode == status, f"{command} ended with {done.returncode}:\n{said}")
    check("Traceback" not in said, f"{command} shows a traceback:\n{said}")
    return said


def installed(wheel: Path, place: Path) -> Path:
    """The folder of the commands of a new environment that has *wheel*."""
    venv.create(place, with_pip=True)
    commands = place / ("Scripts" if sys.platform == "win32" else "bin")
    output(commands / "python", "-m", "pip", "install", "--quiet", wheel)
    return commands


def make_read_only(place: Path) -> None:
    """Take the write permission from every folder below *place*."""
    for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)


def make_writable(place: Path) -> None:
    """Give it back, so that the environment can be removed."""
    for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def check_commands(commands: Path) -> None:
    """The plugin is found, and the commands do what they say."""
    help_text = output(commands / "twistd", "--help")
    check("\n    yallmp " in help_text, f"twistd does not list yallmp:\n{help_text}")
    check("--log-dir" in output(commands / "twistd", "yallmp", "--help"), "no --log-dir")
    check("--log-dir" in output(commands / "yallmp", "--help"), "no --log-dir")
    check(output(commands / "yallmp", "--version").startswith("yallmp "), "no version")
    check("demo" in output(commands / "yallmp", "check", ROOT / "config.yaml"), "no demo")
    output(commands / "python", "-m", "yallmp", "check", "/nonexistent/config.yaml", status=1)
    output(commands / "twistd", "-n", "yallmp", "-c", "/nonexistent/config.yaml", status=1)


def main() -> None:
    """Check the wheel in the folder that the first argument names."""
    wheel = the_wheel(Path(sys.argv[1]))
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        commands = installed(wheel, Path(folder, "environment"))
        make_read_only(Path(folder, "environment"))
        try:
            check_commands(commands)
        finally:
            make_writable(Path(folder, "environment"))
    print(f"{wheel.name} is good.")


if __name__ == "__main__":
    main()
