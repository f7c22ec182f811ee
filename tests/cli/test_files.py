"""validate, crds and schema."""

import json
from pathlib import Path

import pytest
import yaml

from .conftest import Cli

EXAMPLES = Path(__file__).parents[2] / "examples"
BROKEN_FILES = Path(__file__).parents[1] / "crd" / "broken"

GOOD = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  service: {port: 80}
  analysis: {interval: 1m, threshold: 5, maxWeight: 50, stepWeight: 5}
"""
DOUBTFUL = GOOD.replace("maxWeight: 50, stepWeight: 5", "maxWeight: 50, stepWeights: [1, 5]")
BROKEN = GOOD.replace("stepWeight: 5", "stepWieght: 5").replace("port: 80", "port: http!")


def test_all_examples_are_valid(cli: Cli) -> None:
    folders = [str(each) for each in sorted(EXAMPLES.iterdir()) if any(each.rglob("*.yaml"))]
    for folder in folders:
        done = cli("validate", folder)
        assert (done.code, done.err) == (0, "")
        assert done.out.rstrip().endswith(": valid")


def test_every_problem_is_a_line_and_the_last_line_sums_up(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "canary.yaml"
    file.write_text(BROKEN)
    done = cli("validate", str(file))
    *problems, summary = done.out.splitlines()
    assert done.code == 1
    assert len(problems) >= 2
    assert all(
        line.startswith(f"error: {file}: Canary default/podinfo: spec.") for line in problems
    )
    assert any("did you mean 'stepWeight'?" in line for line in problems)
    assert summary == f"{len(problems)} errors: not valid"


def test_warnings_are_shown_and_are_no_failure(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "canary.yaml"
    file.write_text(DOUBTFUL)
    done = cli("validate", str(file))
    assert done.code == 0
    assert done.out.startswith(f"warning: {file}: Canary default/podinfo: spec.analysis.maxWeight")
    assert done.out.endswith("1 object, 1 warning: valid\n")


def test_names_are_unique_among_all_files_of_a_call(cli: Cli, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    both = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert "a second time, first in" in cli("validate", *both).out
    assert cli("validate", both[0], both[0]).out == "1 object: valid\n"


def test_folders_are_searched(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "canary.yml").write_text(GOOD)
    assert cli("validate", str(tmp_path)).out == "1 object: valid\n"


def test_standard_input(program: Cli) -> None:
    assert program("validate", "-", text=GOOD).out == "1 object: valid\n"
    assert program("validate", "-", text="kind: Nonsense").code == 1


@pytest.mark.parametrize(("text", "valid"), [(GOOD, True), (BROKEN, False)])
def test_as_json(cli: Cli, tmp_path: Path, text: str, valid: bool) -> None:
    (tmp_path / "a.yaml").write_text(text)
    done = cli("validate", str(tmp_path), "-o", "json")
    said = json.loads(done.out)
    assert said["valid"] is valid
    assert bool(said["errors"]) is not valid
    assert done.code == (0 if valid else 1)


def test_crds_are_yaml_that_kubectl_could_apply(cli: Cli) -> None:
    made = list(yaml.safe_load_all(cli("crds").out))
    assert {each["kind"] for each in made} == {"CustomResourceDefinition"}
    kinds = [each["spec"]["names"]["kind"] for each in made]
    assert kinds == ["AlertProvider", "Canary", "MetricTemplate", "Process"]


def test_crds_of_chosen_kinds(cli: Cli) -> None:
    made = list(yaml.safe_load_all(cli("crds", "--kind", "canary", "--kind", "Process").out))
    assert [each["metadata"]["name"] for each in made] == [
        "canaries.flagger.app",
        "processes.local.canary",
    ]


def test_schema_is_json(cli: Cli) -> None:
    assert "Canary" in json.loads(cli("schema").out)["$defs"]


def test_a_pipe_that_closes_early_leaves_no_traceback(program: Cli, tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "canary", "crds"]
    with os.fdopen(writer, "w") as gone:
        done = subprocess.run(
            command, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert done.stderr == ""


@pytest.mark.parametrize("file", sorted(BROKEN_FILES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_broken_file_is_told_line_by_line(cli: Cli, file: Path) -> None:
    done = cli("validate", str(file))
    *problems, summary = done.out.splitlines()
    assert (done.code, done.err) == (1, "")
    assert summary.endswith(": not valid")
    errors = [line for line in problems if line.startswith(f"error: {file}")]
    assert errors == problems
    assert all(", expected " in line for line in errors)
