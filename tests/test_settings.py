from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.errors import LocalError, SpecError
from canary.settings import Settings, load


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CANARY_{name.upper()}", raising=False)
    monkeypatch.delenv("CANARY_CONFIG", raising=False)
    return iter(())


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "canary.yaml"
    path.write_text(text)
    return path


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PORT", "2")
    monkeypatch.setenv("CANARY_TICKS_AT_ONCE", "2")
    text = "port: 3\nticks_at_once: 3\nminimum_interval: 3"
    settings = load({"port": 1, "ticks_at_once": None}, file(tmp_path, text))
    assert (settings.port, settings.ticks_at_once, settings.minimum_interval) == (1, 2, 3)


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_CONFIG", str(file(tmp_path, "port: 4")))
    assert load().port == 4


def test_defaults_are_those_of_the_documentation() -> None:
    settings = load()
    assert (settings.port, settings.address, settings.minimum_interval) == (8080, "127.0.0.1", 10)
    assert settings.selector_labels == ("app", "name", "app.kubernetes.io/name")
    assert (settings.include_label_prefix, settings.config_tracking) == ((), True)


ACCEPTED: dict[str, tuple[str, str, str, Any]] = {
    "warn is a warning": ("CANARY_LOG_LEVEL", "warn", "log_level", "warning"),
    "warning is a warning": ("CANARY_LOG_LEVEL", "warning", "log_level", "warning"),
    "capitals don't matter": ("CANARY_LOG_LEVEL", "INFO", "log_level", "info"),
    "labels are separated by commas": (
        "CANARY_SELECTOR_LABELS", "app, name", "selector_labels", ("app", "name"),
    ),
    "prefixes are separated by commas": (
        "CANARY_INCLUDE_LABEL_PREFIX", "team,app.", "include_label_prefix", ("team", "app."),
    ),
    "configs need not be tracked": ("CANARY_CONFIG_TRACKING", "false", "config_tracking", False),
    "a Service called canary doesn't set the port": (
        "CANARY_PORT", "tcp://10.0.0.1:80", "port", 8080,
    ),
    "a folder is a path": ("CANARY_STATE_DIR", "/x", "state_dir", Path("/x")),
}  # fmt: skip


@pytest.mark.parametrize(("variable", "text", "field", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(
    variable: str, text: str, field: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(load(), field) == value


REFUSED = {
    "a port that is none": ("CANARY_PORT", "http", "CANARY_PORT: found 'http', expected a valid"),
    "a level that is none, with the nearest": (
        "CANARY_LOG_LEVEL", "warnig", "CANARY_LOG_LEVEL: found 'warnig', .* mean 'warning'",
    ),
    "an interval of nothing": ("CANARY_MINIMUM_INTERVAL", "0", "CANARY_MINIMUM_INTERVAL: found"),
    "an interval without end": ("CANARY_MINIMUM_INTERVAL", "inf", "CANARY_MINIMUM_INTERVAL: found"),
    "a server that is no URL": (
        "CANARY_METRICS_SERVER", "prometheus:9090", "expected an http or https URL",
    ),
    "an empty label": ("CANARY_SELECTOR_LABELS", "app,,name", "expected labels, none"),
}  # fmt: skip


@pytest.mark.parametrize(("variable", "text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SpecError, match=message):
        load()


def test_every_problem_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PORT", "x")
    with pytest.raises(SpecError) as caught:
        load({"log_format": "xml"}, file(tmp_path, "ticks_at_once: 0\nmetric_server: x"))
    text = str(caught.value)
    assert "--log-format: found 'xml', expected 'json' or 'console'" in text
    assert "CANARY_PORT: found 'x'" in text
    assert "canary.yaml: ticks_at_once: found 0" in text
    assert "canary.yaml: metric_server: found an unknown field" in text
    assert "did you mean 'metrics_server'?" in text


def test_a_token_in_a_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_EVENT_WEBHOOK", "hooks.test/secret")
    with pytest.raises(SpecError) as caught:
        load()
    assert "CANARY_EVENT_WEBHOOK: found something else" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "\x00"])
def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(LocalError, match=r"canary\.yaml: is not YAML"):
        load(file=file(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"gone\.yaml: can't be read"):
        load(file=tmp_path / "gone.yaml")


def test_an_empty_file_changes_nothing_and_a_list_is_refused(tmp_path: Path) -> None:
    assert load(file=file(tmp_path, "")).port == 8080
    with pytest.raises(SpecError, match="found list, expected fields"):
        load(file=file(tmp_path, "- a"))
