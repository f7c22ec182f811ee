"""The tree itself: examples, documents, commands, lock and layers say what is true."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import canary
from canary.crd import KINDS, dump, load_path, load_text

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
MADE = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist"}
LINES = 120
"""Of a page of documentation; who needs more to say has two pages."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def files(*endings: str) -> list[Path]:
    """What is ours in the tree, without what tools have made there."""
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in MADE or part.endswith("_cache") for part in path.parts)
        and (not endings or path.suffix in endings)
    )


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:  # a picture or the like
        return ""


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    parsed: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return parsed


@pytest.mark.parametrize("path", EXAMPLES, ids=relative)
def test_an_example_comes_back_as_it_was_written(path: Path) -> None:
    objects = [dump(each) for each in load_path(path).objects]
    written = [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] in KINDS]
    assert objects == written
    assert [dump(each) for each in load_text(yaml.safe_dump_all(objects)).objects] == objects


def test_all_examples_can_be_read_together() -> None:
    assert len(load_path(ROOT / "examples").objects) > len(EXAMPLES)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_yaml_in_a_page_is_yaml(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        # A part of a manifest is indented as it is in there.
        assert yaml.safe_load(block) is not None
        if block.startswith("apiVersion"):
            assert load_text(block).objects


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_links_to_what_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in (each for each in links if "://" not in each):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in [
                re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in heads
            ]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=relative)
def test_a_page_is_short_and_can_be_found(page: Path) -> None:
    assert len(page.read_text().splitlines()) < LINES
    assert page.name == "README.md" or f"({page.name})" in (ROOT / "docs/README.md").read_text()


def targets() -> dict[str, str]:
    """Every target of the Makefile, with its help."""
    text = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z]+):[^=\n]*?(?:## (.*))?$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_in_a_page_exist(page: Path) -> None:
    text = page.read_text()
    used = re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)
    assert set(used) <= set(targets())
    from canary.cli.program import command

    called = re.findall(r"(?:^|`|\$ )canary ([a-z][a-z-]*)(?= |`|$)", text, re.MULTILINE)
    assert set(called) <= set(command().commands)


def test_the_readme_has_the_two_commands() -> None:
    assert "```sh\nmake demo\nmake test\n```" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "exec make test"


def test_make_help_tells_every_target() -> None:
    made = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    told = dict(re.findall(r"^make (\w+) +(.+)$", made.stdout, re.MULTILINE))
    assert told == targets()


# What is on the machine instead of Python, and what `make env` says then.
PYTHONS = {
    "no Python at all": ("", "canary needs Python 3.11 or newer, and none was found"),
    "an old one": ("exit 1", "canary needs Python 3.11 or newer, and none was found"),
    "one without the venv module": (
        'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac',
        "python3 has no venv module. On Debian or Ubuntu: apt-get install python3-venv",
    ),
}


@pytest.mark.parametrize(("program", "words"), PYTHONS.values(), ids=PYTHONS)
def test_env_says_what_is_missing(tmp_path: Path, program: str, words: str) -> None:
    for name in ("scripts/env", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("dirname", "cat", "cksum"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    if program:
        (tools / "python3").write_text(f"#!/bin/sh\n{program}\n")
        (tools / "python3").chmod(0o755)
    shell = shutil.which("sh") or "/bin/sh"
    made = subprocess.run(
        [shell, tmp_path / "scripts/env"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr.splitlines()[0].startswith(words)) == (1, True)
    assert not (tmp_path / ".venv").exists()


def locked() -> dict[str, tuple[str, int]]:
    """What the lock pins: name to version and number of hashes."""
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    found = dict[str, tuple[str, int]]()
    for block in blocks:
        named = re.match(r"([A-Za-z0-9._-]+)==(\S+)", block)
        assert named, block
        found[canonicalize_name(named[1])] = (named[2], block.count("--hash=sha256:"))
    return found


def test_the_lock_pins_all_that_the_project_names() -> None:
    parsed = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = parsed["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *parsed["dependency-groups"].values(),
        parsed["build-system"]["requires"],
    ]
    pins = locked()
    for requirement in (Requirement(text) for each in lists for text in each):
        version, hashes = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
        assert hashes > 0, requirement


def test_every_pin_has_a_hash_and_no_source() -> None:
    assert [name for name, (_, hashes) in locked().items() if not hashes] == []
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_version_is_said_once_and_explained(project: dict[str, object]) -> None:
    assert project["version"] == canary.__version__
    assert f"## {canary.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_knows_this_machine() -> None:
    # Put together here, so that this file is none of those that it looks for.
    homes = [f"/{name}/" for name in ("root", "work", "Users")] + [str(Path.home()) + "/"]
    pattern = re.compile(rf"(?<![\w.*])(?:{'|'.join(map(re.escape, homes))})")
    assert [relative(path) for path in files() if pattern.search(text_of(path))] == []


def test_imports_point_down() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    made = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout


def test_every_package_says_what_it_is_for() -> None:
    packages = [path for path in files(".py") if path.name == "__init__.py"]
    ours = [path for path in packages if path.is_relative_to(ROOT / "canary")]
    silent = [path for path in ours if not ast.get_docstring(ast.parse(path.read_text()))]
    assert ours
    assert silent == []
