"""
The package: its metadata, what it needs, what goes into it.

Only the Pythons it runs on stand in ``pyproject.toml``, where uv looks for them.
``package_dir={"": "."}`` is there for ``pip install -e .``: with it setuptools puts this
folder itself on the path, and twistd finds ``twisted/plugins/yallmp_plugin.py`` as it
does in an installed wheel.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """The version that ``yallmp/__init__.py`` states, without importing it."""
    source = (ROOT / "yallmp" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if found is None:
        raise RuntimeError("yallmp/__init__.py states no __version__")
    return found[1]


def readme() -> str:
    """The long description: README.md where it is there (a source archive always has it)."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


NEEDS = [
    "Twisted[tls] >= 26.10",
    'Twisted[windows-platform] >= 26.10; sys_platform == "win32"',
    "klein >= 24.8",
    "treq >= 26.7",
    "Werkzeug >= 3.1",
    "PyYAML >= 6.0",
    "attrs >= 23.2",
    "certifi >= 2024.7.4",
    "cryptography >= 43.0.1",
    "httptools >= 0.6.1",
    "hyperlink >= 21.0",
    "msgspec >= 0.19",
    "prometheus-client >= 0.20",
    "pyOpenSSL >= 25.1",
    "service-identity >= 24.1",
    "zope.interface >= 6.0",
]
TEST = ["anthropic >= 2.0", "hypothesis >= 6.100", "openai >= 2.0"]
SOAK = ["matplotlib >= 3.8"]
FUZZ = [
    # Wheels for Linux, and not for every Python; without it the fuzzing of parsers is absent.
    (
        'atheris >= 3.0; sys_platform == "linux" and python_version >= "3.11" and'
        ' python_version < "3.14"'
    ),
    "schemathesis >= 4.0",
]
DEV = [
    *TEST,
    *SOAK,
    "build >= 1.2",
    "coverage[toml] >= 7.6",
    "mypy >= 1.15",
    "mypy-zope >= 1.0.11",
    "pydoctor >= 25.4",
    "ruff >= 0.12",
    "tox >= 4.20",
    "types-PyYAML >= 6.0",
]

setup(
    name="yallmp",
    version=version(),
    description="An LLM proxy for the OpenAI API: failover, readable logs, one small daemon",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    author="yallmp contributors",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Internet :: Proxy Servers",
        "Typing :: Typed",
    ],
    keywords=["llm", "proxy", "openai", "failover", "twisted"],
    package_dir={"": "."},
    packages=[*find_packages(include=["yallmp", "yallmp.*"]), "twisted.plugins"],
    package_data={"yallmp": ["py.typed"]},
    install_requires=NEEDS,
    extras_require={"test": TEST, "soak": SOAK, "fuzz": FUZZ, "dev": DEV},
    entry_points={"console_scripts": ["yallmp = yallmp.__main__:main"]},
    zip_safe=False,
)
