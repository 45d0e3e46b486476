"""The documentation is complete, its code works, and its links lead somewhere.

A page's ``python`` blocks are one program, imported as a module. A block whose preceding line is
``<!-- not run: reason -->`` is only compiled.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

import invokeasync_wsgi
from invokeasync_wsgi import AWSError
from invokeasync_wsgi.config import PREFIX, Settings
from invokeasync_wsgi.executors.urls import _KINDS
from invokeasync_wsgi.functions import Function

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
READMES = sorted((ROOT / "examples").rglob("*.md"))

TEXT = "\n".join(page.read_text() for page in DOCS)
#: Everything that the documentation sets in code: names in it are meant as names.
CODE = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", TEXT, re.DOTALL))


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    #: Of its first line of code, from 1.
    line: int
    code: str
    is_run: bool


def blocks_of(page: Path) -> list[Block]:
    blocks = []
    lines = page.read_text().splitlines()
    opened: int | None = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        blocks.append(
            Block(
                language=lines[opened].strip().removeprefix("```"),
                line=opened + 2,
                code=textwrap.dedent("\n".join(lines[opened + 1 : number])) + "\n",
                is_run=not lines[opened - 1].startswith("<!-- not run: "),
            )
        )
        opened = None
    assert opened is None, f"{page.name}: the block of line {opened} does not end"
    return blocks


def python_blocks_of(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.language == "python"]


def is_named(name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", CODE) is not None


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_documented(field: str) -> None:
    """Each setting has a row, and its name for the environment."""
    settings = (ROOT / "docs" / "settings.md").read_text()
    assert f"\n| `{field}` |" in settings
    assert PREFIX + field.upper() in settings


@pytest.mark.parametrize(
    ("kind", "option"), [(kind, option) for kind in _KINDS for option in _KINDS[kind].options]
)
def test_every_executor_option_is_documented(kind: str, option: str) -> None:
    """Each executor's URL and each of its options stand in the tables of both pages."""
    for page in ("settings.md", "executors.md"):
        text = (ROOT / "docs" / page).read_text()
        assert f"`{kind}:`" in text
        assert f"| `{option}` |" in text


@pytest.mark.parametrize(
    "option",
    [field.name for field in dataclasses.fields(Function) if field.init],
)
def test_every_function_option_is_documented(option: str) -> None:
    """Each option of a function is named."""
    assert is_named(option)


#: What the package passes on under its own name, also what it imports only when asked for.
PUBLIC = sorted(
    alias.name
    for node in ast.walk(ast.parse(Path(invokeasync_wsgi.__file__).read_text()))
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.name == alias.asname
)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name[0].isupper()])
def test_every_public_class_is_documented(name: str) -> None:
    """Each public name is named."""
    assert isinstance(getattr(invokeasync_wsgi, name), type)
    assert is_named(name)


@pytest.mark.parametrize("name", ["drain_on_sigterm", "run_attempt"])
def test_every_public_function_is_documented(name: str) -> None:
    """Each public function is named."""
    assert callable(getattr(invokeasync_wsgi, name))
    assert is_named(name)


def _codes(base: type[AWSError]) -> list[type[AWSError]]:
    """The classes that are codes of AWS's: those that are no other's base."""
    return [code for error in base.__subclasses__() for code in (_codes(error) or [error])]


@pytest.mark.parametrize("error", _codes(AWSError), ids=lambda error: error.__name__)
def test_every_error_is_documented(error: type[AWSError]) -> None:
    """Each error that a client can see has a row with its status."""
    clients = (ROOT / "docs" / "clients.md").read_text()
    assert f"\n| {error.status.value} | `{error.__name__}` |" in clients


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_compiles(page: Path) -> None:
    """Each block of Python is Python."""
    for block in python_blocks_of(page):
        compile("\n" * (block.line - 1) + block.code, str(page), "exec")


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.is_run for block in python_blocks_of(page))],
    ids=lambda page: page.name,
)
def test_code_runs(page: Path, tmp_path: Path) -> None:
    """The blocks of a page run, one after the other, and warn of nothing."""
    program: list[str] = []
    for block in python_blocks_of(page):
        if block.is_run:
            program += [""] * (block.line - 1 - len(program))  # errors show the page's lines
            program += block.code.splitlines()
    (tmp_path / "page.py").write_text("\n".join(program) + "\n")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", "import page"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_functions_file_is_the_example_s() -> None:
    """The file that is shown is the one that is tested."""
    shown = [
        block.code for block in blocks_of(ROOT / "docs/functions.md") if block.language == "toml"
    ]
    assert shown == [(ROOT / "examples/functions_file/functions.toml").read_text()]


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links point to files, and their fragments to headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if fragment:
            assert fragment in anchors_of(linked), target


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


def test_examples_are_named() -> None:
    """Each example is found from the documentation or the README."""
    text = TEXT + (ROOT / "README.md").read_text()
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir():
            assert f"examples/{folder.name}" in text
