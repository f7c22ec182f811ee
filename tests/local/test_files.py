"""Which files of a folder count, and which of them are left out."""

from pathlib import Path

import pytest

from canary.local.files import found, identity, understood

PROCESS = """
{{apiVersion: local.canary/v1, kind: Process, metadata: {{name: {name}}},
 spec: {{template: {{command: [sleep]}}}}}}
"""


def files(folder: Path, **names: str) -> list[Path]:
    """A file for each Process, by the file's name."""
    made = []
    for name, process in names.items():
        made.append(folder / f"{name}.yaml")
        made[-1].write_text(PROCESS.format(name=process))
    return made


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in (".git/a.yaml", ".b.yaml", "c.txt", "deep/d.yml", "e.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path) == [tmp_path / "deep/d.yml", tmp_path / "e.yaml"]


def test_what_can_not_be_listed_is_not_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "nowhere")
    assert identity(tmp_path / "nowhere") is None
    assert identity(tmp_path) == identity(tmp_path / ".")


def test_of_files_that_contradict_each_other_the_first_counts(tmp_path: Path) -> None:
    first, second, third = files(tmp_path, z="shop", a="shop", b="cart")
    loaded, problems = understood([first, second, third])
    assert [each.name for each in loaded.objects] == ["shop", "cart"]
    assert problems.keys() == {second}
    assert f"first in {first}" in problems[second]


def test_a_file_that_is_wrong_takes_no_other_with_it(tmp_path: Path) -> None:
    good, bad = files(tmp_path, good="shop", bad="")
    loaded, problems = understood([bad, good])
    assert [each.name for each in loaded.objects] == ["shop"]
    assert problems.keys() == {bad}


def test_a_file_that_goes_while_it_is_read_is_no_problem_and_a_dangling_link_is(
    tmp_path: Path,
) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "nowhere")
    loaded, problems = understood([tmp_path / "gone.yaml", link])
    assert loaded.objects == ()
    assert problems.keys() == {link}


def test_many_files_are_each_read_a_few_times_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one that is wrong among them, too: they were read again for each other one once."""
    names = {f"p{number}": f"p{number}" for number in range(30)}
    made = [*files(tmp_path, **names), *files(tmp_path, wrong="")]
    reads: list[Path] = []
    read = Path.read_bytes

    def counted(self: Path) -> bytes:
        reads.append(self)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    understood(made)
    assert len(reads) <= 3 * len(made)
