"""Files and folders: what is read, and what is told when it can't be."""

from pathlib import Path

import pytest
import yaml

from canary.crd import load_path, load_text
from canary.errors import LocalError, SpecError
from tests.crd.manifests import manifest


def named(name: str, target: str = "") -> str:
    document = manifest()
    document["metadata"]["name"] = name
    document["spec"]["targetRef"]["name"] = target or name
    return yaml.safe_dump(document)


def test_objects_of_others_are_left_alone_and_named() -> None:
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: podinfo}\n"
    loaded = load_text(deployment, "app.yaml")
    assert (loaded.objects, loaded.others) == ((), ("app.yaml: Deployment",))


def test_a_mistyped_kind_of_ours_is_not_taken_for_somebody_elses() -> None:
    with pytest.raises(SpecError, match="did you mean 'Canary'"):
        load_text("apiVersion: example.test/v1\nkind: Canry\nmetadata: {name: podinfo}\n")


def test_reads_all_documents_of_a_folder_in_order_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(f"{named('b')}---\n---\n{named('c')}")
    (tmp_path / "a.yml").write_text(named("a"))
    (tmp_path / "notes.txt").write_text("not: yaml: at all")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text(named("d"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "e.yaml").write_text(named("e"))
    (tmp_path / ".f.yaml").write_text(named("f"))
    loaded = load_path(tmp_path)
    assert [resource.name for resource in loaded.objects] == ["a", "b", "c", "d"]
    assert loaded.sources[-1] == str(tmp_path / "deeper" / "d.yaml")


def test_an_empty_folder_is_nothing_to_complain_about(tmp_path: Path) -> None:
    assert load_path(tmp_path).objects == ()


def test_a_folder_below_a_hidden_one_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "canaries"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(named("a"))
    assert len(load_path(folder).objects) == 1


def test_tells_the_problems_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("kind: Canari\n")
    (tmp_path / "c.yaml").write_text(f"{named('C')}---\n{named('d')}")
    with pytest.raises(SpecError) as error:
        load_path(tmp_path)
    files = [Path(problem.where.split(":")[0].split(",")[0]) for problem in error.value.problems]
    # `C` is wrong as the name of the object and as that of its target.
    assert [file.name for file in files] == ["a.yaml", "b.yaml", "c.yaml", "c.yaml"]


def test_two_files_may_not_release_one_target(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(named("a", target="web"))
    (tmp_path / "b.yaml").write_text(named("b", target="web"))
    with pytest.raises(SpecError, match="'web', which Canary test/a releases already"):
        load_path(tmp_path)


def test_two_files_may_not_define_one_object(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(named("a"))
    (tmp_path / "b.yaml").write_text(named("a"))
    with pytest.raises(SpecError, match=r"'a' a second time, first in .*a\.yaml"):
        load_path(tmp_path)


def test_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"gone\.yaml: No such file"):
        load_path(tmp_path / "gone.yaml")


def test_says_which_byte_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"kind: \xff\n")
    with pytest.raises(SpecError, match="byte 0xff at position 6, expected text in UTF-8"):
        load_path(tmp_path / "a.yaml")


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + named("a").encode())
    assert len(load_path(tmp_path / "a.yaml").objects) == 1


TRAPS = {
    "brackets without end": ("a: " + "[" * 200_000, "more than 100 levels of nesting"),
    "an alias of itself": ("a: &a [*a]", r"alias '\*a' inside of what it stands for"),
    "an object of Python": ("a: !!python/object:os.system {}", "could not determine a constructor"),
    "a control character": ("a: \x01", "control characters are not allowed"),
    "a list as a key": ("{[1]: 2}", "unhashable key"),
    "a wrong kind of kind": ("kind: [Canary]", "kind: found a list"),
    "a wrong kind of metadata": (
        "kind: Canary\napiVersion: flagger.app/v1beta1\nmetadata: 5",
        "metadata: found 5, expected an object",
    ),
}


@pytest.mark.parametrize(("text", "said"), TRAPS.values(), ids=TRAPS)
def test_survives(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load_text(text)


SCALARS = {"12:30": "12:30", "2030-01-01": "2030-01-01", "1.2.3": "1.2.3", "'5'": "5"}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_reads_text_as_kubernetes_does(text: str, value: str) -> None:
    document = named("a").replace("name: a\n", f"name: a\n  labels:\n    x: {text}\n", 1)
    (resource,) = load_text(document).objects
    assert resource.labels == {"x": value}
