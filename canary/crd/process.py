"""The Process of local mode: a command that runs as a number of processes, like a Deployment."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from canary.crd.base import Flag, Model, Natural, OneOf, Positive, Says, Seconds
from canary.crd.resource import Resource

MEBIBYTE = 2**20

Command = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    Says("a list with the program and its arguments, such as [python, -m, http.server]"),
]


class HttpGet(Model):
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class TcpSocket(Model):
    """Ready as soon as the port accepts a connection."""


class Exec(Model):
    command: Command


class ReadinessProbe(Model):
    """How to tell that a process can take requests. Times are in seconds."""

    one_of: ClassVar = (OneOf(("httpGet", "tcpSocket", "exec")),)

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    initial_delay_seconds: Seconds = 0
    period_seconds: Seconds = 1
    timeout_seconds: Seconds = 1
    failure_threshold: Positive = 3
    success_threshold: Positive = 1


class ProcessTemplate(Model):
    """One process. Changing anything in here makes a new revision."""

    command: Command
    """`$(PORT)`, `$(HOST)` and `$(NAME)` stand for the process's own port, address and name."""
    env: dict[str, str] = Field(default_factory=dict)
    working_dir: str = "."
    """Relative to the folder of the manifest."""
    protocol: Literal["http", "http2", "tcp"] = "http"
    readiness_probe: ReadinessProbe = Field(
        default_factory=lambda: ReadinessProbe(tcp_socket=TcpSocket())
    )
    termination_grace_period_seconds: Seconds = 10


class Logs(Model):
    max_bytes: Annotated[int, Field(ge=1024, le=2**53)] = 10 * MEBIBYTE
    """A file that has grown this large is put aside and a new one begun."""
    keep: Natural = 3
    """How many of the files put aside are kept."""


class ProcessSpec(Model):
    replicas: Natural = 1
    suspend: Flag = False
    """Runs nothing while true. Set by canary while there is nothing to release."""
    template: ProcessTemplate
    min_ready_seconds: Seconds = 0
    progress_deadline_seconds: Seconds = 60
    max_surge: Positive = 1
    """How many processes more than `replicas` may run while they are replaced."""
    logs: Logs = Field(default_factory=Logs)


class Observed(BaseModel):
    """The base of the status, lenient: a newer version may have written more."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        defer_build=True,
    )


class Endpoint(Observed):
    address: str = "127.0.0.1"
    port: int
    instance: str
    ready: bool = False


class ProcessStatus(Observed):
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    observed_generation: int = 0
    conditions: tuple[dict[str, Any], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


class Process(Resource):
    api_version: Literal["local.canary/v1"] = "local.canary/v1"
    kind: Literal["Process"] = "Process"
    spec: ProcessSpec
    status: ProcessStatus = Field(default_factory=ProcessStatus)

    plural: ClassVar[str] = "processes"
