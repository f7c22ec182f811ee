"""Flags, environment and file in one model, for both modes.

A flag wins over the environment, which wins over the file, which wins over the default. Importing
this takes a tenth of a second, most of it for pydantic-settings: import it where it is used.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from canary.errors import LocalError, Problem, SpecError, nearest

PREFIX = "CANARY_"
URLS = ("metrics_server", "event_webhook")


def _state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "canary"


class Settings(BaseSettings):
    """Each field can be set as a flag `--field-name` or as `CANARY_FIELD_NAME`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    provider: str = ""
    """Of Canaries that name none; empty means that of the place: `envoy` in local mode."""
    metrics_server: str = Field("", pattern=r"^(https?://[^\s/?#]+\S*)?$")
    """The URL of the Prometheus for built-in checks and inline queries."""
    event_webhook: str = Field("", pattern=r"^(https?://[^\s/?#]+\S*)?$")
    """Where events go of Canaries that have no event hook."""
    minimum_interval: float = Field(10.0, gt=0, le=3600, allow_inf_nan=False)
    """Seconds; shorter analysis intervals are raised to it."""
    address: str = "127.0.0.1"
    """Of the status API."""
    port: int = Field(8080, ge=0, le=65535)
    """Of the status API; 0 takes any free one."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    state_dir: Path = Field(default_factory=_state_dir)
    """Where local mode keeps its objects, logs and sockets."""
    ticks_at_once: int = Field(16, ge=1, le=1024)
    """Canaries that are worked on at the same time."""
    selector_labels: Annotated[tuple[str, ...], NoDecode] = (
        "app",
        "name",
        "app.kubernetes.io/name",
    )
    """Labels that tell the pods of a workload, the first one found counts. Comma-separated."""

    include_label_prefix: Annotated[tuple[str, ...], NoDecode] = ()
    """Labels and annotations that primaries take over from their targets; `*` means all.
    Comma-separated."""
    config_tracking: bool = True
    """Whether a change of a ConfigMap or Secret is released like one of the workload."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _both_spellings(cls, value: Any) -> Any:
        word = value.strip().lower() if isinstance(value, str) else value
        return "warning" if word == "warn" else word

    @field_validator("selector_labels", "include_label_prefix", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [word.strip() for word in value.split(",")] if isinstance(value, str) else value

    @field_validator("selector_labels")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise ValueError("labels, none of them empty")
        return value

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service_link(cls, value: Any) -> Any:
        # Kubernetes tells every pod about a Service called `canary` in its namespace, as
        # CANARY_PORT=tcp://10.0.0.1:80.
        return 8080 if isinstance(value, str) and value.startswith("tcp://") else value


def load(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> Settings:
    """The settings. Flags that are None were not given; `CANARY_CONFIG` may name the file.

    Raises `SpecError` naming each variable, flag or field that is wrong, and `LocalError` for a
    file that can't be read.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    file = file or (Path(named) if (named := os.environ.get(f"{PREFIX}CONFIG")) else None)
    filed = _read(file) if file else {}

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, InitSettingsSource(settings_cls, filed)

    try:
        return Layered(**given)
    except ValidationError as error:
        raise SpecError(*(_problem(each, given, filed, file) for each in error.errors())) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{file}: can't be read: {error}") from None
    except yaml.YAMLError as error:
        raise LocalError(f"{file}: is not YAML: {' '.join(str(error).split())}") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise SpecError(Problem(str(file), "", type(read).__name__, "fields with their values"))
    return {str(name): value for name, value in read.items()}


def _problem(
    error: Any, given: Mapping[str, Any], filed: Mapping[str, Any], file: Path | None
) -> Problem:
    """One error, told by the name under which the value was given."""
    name = str(error["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    if name not in Settings.model_fields:
        expected = f"one of {', '.join(sorted(Settings.model_fields))}"
        near = nearest(name.replace("-", "_"), list(Settings.model_fields))
        return Problem(str(file or "settings"), name, "an unknown field", expected, near)
    if name in given:
        where, value = f"--{name.replace('_', '-')}", given[name]
    elif variable in map(str.upper, os.environ):
        where, value = variable, os.environ.get(variable, error["input"])
    else:
        where, value = f"{file}: {name}", filed.get(name, error["input"])
    choices = get_args(Settings.model_fields[name].annotation)
    near = nearest(str(value), [word for word in choices if isinstance(word, str)])
    # A URL for events may carry a token.
    found = "something else" if name == "event_webhook" else repr(value)
    return Problem(where, "", found, _expected(name, error), near)


def _expected(name: str, error: Any) -> str:
    if name in URLS:
        return "an http or https URL"
    text: str = error["msg"]
    return text.removeprefix("Input should be ").removeprefix("Value error, ")
