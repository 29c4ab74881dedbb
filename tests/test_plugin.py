"""The twistd plugin: it is found, it stays small, and mistakes end it in a line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from yallmp.options import Options

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "twisted" / "plugins" / "yallmp_plugin.py"
TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"


def run(*command: str) -> tuple[int, str, str]:
    """The status, stdout and stderr of Python with *command*, run in the sources."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


class PluginTests(SynchronousTestCase):
    """``twistd yallmp``."""

    def test_it_is_found(self) -> None:
        """Twisted lists it, and its options are ours."""
        found = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "yallmp"]
        self.assertEqual(len({maker.description for maker in found}), 1)
        self.assertTrue(verifyObject(IServiceMaker, found[0]))
        self.assertTrue(IPlugin.providedBy(found[0]))
        self.assertIs(found[0].options, Options)

    def test_it_stays_small(self) -> None:
        """Every twistd imports it: a docstring, an import, a name."""
        self.assertEqual(len(ast.parse(PLUGIN.read_text(encoding="utf-8")).body), 3)

    def test_the_folders_are_no_packages(self) -> None:
        """An ``__init__.py`` there would hide Twisted's own plugins."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])


class MistakeTests(SynchronousTestCase):
    """A configuration that is none, told by either command in the same way."""

    def check_refusal(self, *command: str) -> None:
        """*command* ends with 1; stderr says why in a line, stdout nothing."""
        status, out, err = run(*command, "-c", "/nonexistent/config.yaml")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("/nonexistent/config.yaml", err)
        self.assertEqual(err.count("\n"), 1, err)

    def test_twistd(self) -> None:
        """Before it makes itself a daemon."""
        self.check_refusal("-c", TWISTD, "yallmp")

    def test_yallmp(self) -> None:
        """In the foreground."""
        self.check_refusal("-m", "yallmp")


class DependencyTests(SynchronousTestCase):
    """What ``setup.py`` asks for."""

    def test_what_is_imported_is_asked_for(self) -> None:
        """Every foreign module is in a distribution that is named, not there by luck."""
        needs = (ROOT / "setup.py").read_text(encoding="utf-8").partition("NEEDS")[2]
        named = {normal(name) for name in re.findall(r"""["']([A-Za-z.-]+)""", needs)}
        providers = packages_distributions()
        for module in sorted(imported_modules() - set(sys.stdlib_module_names) - {"yallmp"}):
            distributions = {normal(name) for name in providers.get(module, [module])}
            self.assertTrue(distributions & named, f"setup.py does not ask for {module}")


def imported_modules() -> set[str]:
    """The top-level names that the package imports."""
    found = set()
    for path in (ROOT / "yallmp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def normal(name: str) -> str:
    """A distribution's name in its one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()
