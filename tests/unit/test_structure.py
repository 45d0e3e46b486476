"""The house: which module may know of which, and what none of them may do.

Modules stand on floors. Each may import those on lower floors and those before it on its own, so
there is no cycle, and whoever reads from the first line to the last meets nothing unexplained.
Imports inside functions and under ``TYPE_CHECKING`` count.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import invokeasync_wsgi

PACKAGE = "invokeasync_wsgi"
ROOT = Path(invokeasync_wsgi.__file__).parent

FLOORS = {
    "facts": ["errors", "clock", "process"],
    "pure rules": [
        "names",
        "operations",
        "overrides",
        "targets",
        "config",
        "payload",
        "eventstream",
        "invocation",
        "retry",
        "lineage",
        "sigv4",
        "conditions",
        "policy",
    ],
    "what is remembered": [
        "logs",
        "functions",
        "store",
        "store.overrides",
        "store.fair",
        "store.memory",
        "store.database",
        "store.owners",
        "store.watch",
        "store.overrides_file",
        "store.sqlite",
        "store.events",
        "catalog",
    ],
    "doing": [
        "wire",  # a pure rule but for the end of a log, which it has from `logs`
        "context",
        "admission",
        "auth",
        "auth.files",
        "auth.credentials",
        "auth.replays",
        "auth.signatures",
        "auth.tokens",
        "auth.choices",
        "auth.failures",
        "auth.policies",
        "runner",
        "destinations",
        "executors",
        "executors.inline",
        "executors.callback",
        "executors.pool",
        "executors.threads",
        "executors.durable",
        "executors.urls",
    ],
    "configuring": [
        "control.parameters",
        "control.call",
        "control.shapes",
        "control.queue",
        "control.discovery",
        "control.versions",
        "control.permissions",
        "control",
    ],
    "the one path": ["service"],
    # "": the package itself
    "doors": ["wsgi", "", "worker", "explain", "operate", "flask", "gunicorn", "cli", "__main__"],
    "for tests": ["testing"],
}
ORDER = [module for floor in FLOORS.values() for module in floor]
PURE = [*FLOORS["pure rules"], "wire"]


def _module_name(path: Path) -> str:
    """The name within the package; the package itself is ``""``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


TREES = {
    _module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}
IS_PACKAGE = {_module_name(path.parent / "__init__.py") for path in ROOT.rglob("__init__.py")}


def _imported(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The absolute names that a module imports, anywhere in it, with their lines.

    ``from x import y`` gives ``x.y``: whether ``y`` is a module is not known yet.
    """
    package = f"{PACKAGE}.{module}".rstrip(".").split(".")
    if module not in IS_PACKAGE:
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def _own(imported: str) -> str | None:
    """The module of the package that an imported name is or is in; ``None`` for others'."""
    if imported.split(".")[0] != PACKAGE:
        return None
    name = imported.removeprefix(PACKAGE).removeprefix(".")
    while name not in TREES:
        name = name.rpartition(".")[0]
    return name


def test_every_module_has_its_place_on_a_floor() -> None:
    assert sorted(ORDER) == sorted(TREES)


@pytest.mark.parametrize("module", ORDER, ids=lambda module: module or "the package")
def test_imports_go_down_only(module: str) -> None:
    below = set(ORDER[: ORDER.index(module)])
    upwards = [
        f"line {line}: {imported}"
        for line, imported in _imported(module, TREES[module])
        if _own(imported) is not None and _own(imported) not in below
    ]
    assert upwards == []


def test_the_reader_of_imports_sees_every_form() -> None:
    """Else the tests of this file would pass for want of imports."""
    tree = ast.parse(
        """
if TYPE_CHECKING:
    from .. import service
def f():
    from . import threads
    from ..wsgi import answer as a
    import invokeasync_wsgi.cli
    from invokeasync_wsgi import Functions, store
    import os.path
"""
    )
    found = {_own(name) for _, name in _imported("executors.urls", tree)}
    assert found == {"service", "executors.threads", "wsgi", "cli", "", "store", None}
    from_package = {_own(name) for _, name in _imported("executors", ast.parse("from . import x"))}
    assert from_package == {"executors"}


def test_nothing_that_is_shipped_imports_the_testing_helpers() -> None:
    importing = [
        module
        for module, tree in TREES.items()
        if any(_own(imported) == "testing" for _, imported in _imported(module, tree))
    ]
    assert importing == []


@pytest.mark.parametrize("module", PURE)
def test_pure_rules_touch_nothing_but_values(module: str) -> None:
    """No threads, no files, no sockets, no clock, no chance but the kernel's.

    `datetime` is for reckoning; that it asks for the present nowhere is a test of its own.
    """
    impure = re.compile(
        r"(threading|_thread|queue|asyncio|concurrent|multiprocessing|subprocess|socket|ssl|select"
        r"|selectors|io|pathlib|tempfile|shutil|sqlite3|time|random|secrets|signal"
        r"|logging|contextvars|atexit|werkzeug|flask)\b"
    )
    tree = TREES[module]
    assert [name for _, name in _imported(module, tree) if impure.match(name)] == []
    of_os = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert of_os <= {"urandom"}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called.isdisjoint({"open", "print", "input", "exec", "eval"})


NOW = {
    "time": {
        *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
        *("process_time", "process_time_ns", "thread_time", "thread_time_ns", "sleep"),
        *("clock_gettime", "clock_gettime_ns"),
    },
    "datetime": {"now", "utcnow", "today"},
}
#: Functions of `time` that take a moment, or else use the present one: their arguments for that.
NEED_A_MOMENT = {"gmtime": 1, "localtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}


def _looks_at_the_time(tree: ast.Module) -> list[str]:
    aliases = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "time":
            found.append(f"line {node.lineno}: from time import …")
        if isinstance(node, ast.Attribute):
            origin = aliases.get(node.value.id) if isinstance(node.value, ast.Name) else None
            if origin == "time" and node.attr in NOW["time"]:
                found.append(f"line {node.lineno}: time.{node.attr}")
            if node.attr in NOW["datetime"] and "date" in ast.unparse(node.value):
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base, name = node.func.value, node.func.attr
            if isinstance(base, ast.Name) and aliases.get(base.id) == "time":
                needed = NEED_A_MOMENT.get(name, 0)
                if len(node.args) < needed:
                    found.append(f"line {node.lineno}: time.{name} of no moment")
    return found


@pytest.mark.parametrize("module", sorted(set(ORDER) - {"clock"}), ids=lambda name: name or "''")
def test_only_the_clock_looks_at_the_time(module: str) -> None:
    assert _looks_at_the_time(TREES[module]) == []


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("import time\ntime.time()", True),
        ("import time as t\nnow = t.monotonic", True),
        ("def f():\n    import time\n    time.sleep(1)", True),
        ("from time import gmtime", True),
        ("from datetime import datetime\ndatetime.now()", True),
        ("import datetime\ndatetime.date.today()", True),
        ("import time\ntime.gmtime()", True),
        ("import time\ntime.strftime('%Y')", True),
        ("import time\ntime.strftime('%Y', time.gmtime(moment))", False),
        ("clock.time() + self._clock.monotonic()", False),
    ],
)
def test_looking_at_the_time_is_found_in_every_form(source: str, is_found: bool) -> None:
    assert bool(_looks_at_the_time(ast.parse(source))) is is_found


def test_no_module_is_named_for_being_useful() -> None:
    words = {word for module in TREES for word in module.split(".")}
    assert words.isdisjoint({"utils", "util", "helpers", "common", "misc", "base", "core"})


def _public(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, ast.AST]]:
    """The public classes and functions of a module or class, those within ``if`` included."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _public([*node.body, *node.orelse], owner)
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if node.name.startswith("_") or "overload" in decorators:
            continue
        yield f"{owner}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body, f"{owner}{node.name}.")


@pytest.mark.parametrize("module", ORDER, ids=lambda module: module or "the package")
def test_everything_public_says_what_it_is(module: str) -> None:
    """Every module, public class, function and method has a docstring, its first line a sentence.

    A sentence ends with a full stop, or with a colon before what it announces.
    """
    tree = TREES[module]
    documented = [("the module", tree), *_public(tree.body, "")]
    wanting = []
    for name, node in documented:
        assert isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        text = ast.get_docstring(node) or ""
        if not text or text.split("\n\n")[0].rstrip()[-1] not in ".:?":
            wanting.append(name)
    assert wanting == []


def _imported_by(statement: str) -> list[str]:
    """The modules that ``statement`` loads into an interpreter that has just started."""
    program = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    modules: list[str] = json.loads(done.stdout)
    return modules


#: What belongs to extras, to doors that are not used, or costs more than all of ours to import.
NOT_ASKED_FOR = {
    *("flask", "werkzeug", "gunicorn", "click", "jinja2", "blinker", "asyncio", "boto3", "gevent"),
    *("botocore", "django", "uwsgi", "sqlite3", "argparse", "ssl"),
}


def test_importing_the_package_imports_no_framework_and_no_server() -> None:
    loaded = _imported_by("import invokeasync_wsgi")
    assert f"{PACKAGE}.wsgi" in loaded
    assert NOT_ASKED_FOR.intersection(name.split(".")[0] for name in loaded) == set()


def test_importing_the_package_leaves_the_optional_rooms_closed() -> None:
    loaded = _imported_by("import invokeasync_wsgi")
    closed = {f"{PACKAGE}.{name}" for name in ("flask", "gunicorn", "cli", "testing", "__main__")}
    closed |= {f"{PACKAGE}.{name}" for name in ("executors.durable", "worker", "operate")}
    closed |= {f"{PACKAGE}.auth.{name}" for name in ("signatures", "tokens", "credentials")}
    assert closed.isdisjoint(loaded)


def test_what_needs_sqlite_is_there_for_those_who_ask() -> None:
    assert "sqlite3" in _imported_by("from invokeasync_wsgi import DurableExecutor")
    with pytest.raises(AttributeError, match="no attribute 'NoSuchExecutor'"):
        invokeasync_wsgi.NoSuchExecutor  # noqa: B018


def test_the_hooks_for_gunicorn_and_the_command_line_import_no_server() -> None:
    loaded = _imported_by("import invokeasync_wsgi.gunicorn, invokeasync_wsgi.cli")
    servers = {"flask", "werkzeug", "gunicorn", "click", "asyncio", "gevent"}
    assert servers.isdisjoint(name.split(".")[0] for name in loaded)


def test_serving_requests_that_are_not_lambdas_imports_nothing_more() -> None:
    loaded = _imported_by(
        "from invokeasync_wsgi import Functions, InvokeAsyncMiddleware\n"
        "app = InvokeAsyncMiddleware(lambda environ, start: [], Functions(), auth='none')\n"
        "before = set(sys.modules)\n"
        "app({'PATH_INFO': '/'}, None)"
    )
    assert loaded == []


def test_no_file_of_the_repository_names_somebodys_home() -> None:
    """A path of one machine in a file means nothing on another, and tells about its author."""
    repository = ROOT.parent
    if shutil.which("git") is None or not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, timeout=60, check=True
    )
    home = re.compile(rb"/(?:home|Users)/\w|(?<![\w.}])/root/|[A-Za-z]:\\+Users\\")
    naming = [
        name.decode()
        for name in listed.stdout.split(b"\0")
        if name
        and not name.endswith(Path(__file__).name.encode())  # it has to name what it looks for
        and (path := repository / name.decode()).is_file()
        and home.search(path.read_bytes())
    ]
    assert naming == []
