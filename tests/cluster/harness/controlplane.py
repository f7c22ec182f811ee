"""etcd, API server and controllers, each of which tests may kill and start again."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.audit import Audit
from tests.cluster.harness.build import Programs
from tests.cluster.harness.credentials import Credentials
from tests.cluster.harness.process import Component, free_port, listens, says_ok

SERVICES = "10.0.0.0/16"
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True)
class ControlPlane:
    """Start it in the network in which its clients are."""

    folder: Path
    credentials: Credentials
    server: str
    """Its address, as a URL."""
    etcd: Component
    apiserver: Component
    controllers: Component | None
    """None with programs that lack it: then Deployments don't roll and Services have no slices."""
    scheduler: Component | None
    audit: Audit

    @classmethod
    def at(cls, folder: Path, programs: Programs, *, scheduler: bool = False) -> "ControlPlane":
        """Prepare one in an empty folder. Without a scheduler it is the node that binds pods."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit-policy.yaml").write_text(AUDIT_POLICY)
        credentials = Credentials(folder)
        credentials.write()
        store, port = free_port(), free_port()
        server = f"https://127.0.0.1:{port}"
        return cls(
            folder,
            credentials,
            server,
            etcd=_etcd(folder, programs, store),
            apiserver=_apiserver(folder, programs, credentials, store, port),
            controllers=_controllers(folder, programs, credentials),
            scheduler=_scheduler(folder, programs) if scheduler else None,
            audit=Audit(folder / "audit.log"),
        )

    def start(self) -> None:
        """Return when it can be used; 3 s on two idle cores. Raises `HarnessError`."""
        self.etcd.start()
        self.apiserver.start(60)
        self.credentials.kubeconfig("controllers", self.server)
        for part in (self.controllers, self.scheduler):
            if part is not None:
                part.start()

    def stop(self) -> None:
        """At once: the API server would take a minute to say good-bye."""
        for part in reversed(self.components):
            part.kill()

    @property
    def components(self) -> list[Component]:
        parts = (self.etcd, self.apiserver, self.controllers, self.scheduler)
        return [part for part in parts if part is not None]


def _etcd(folder: Path, programs: Programs, port: int) -> Component:
    clients = f"http://127.0.0.1:{port}"
    argv = [*programs.etcd, f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={clients}"]
    argv.append(f"--listen-peer-urls=http://127.0.0.1:{free_port()}")
    if programs.plain_etcd:
        argv += [f"--advertise-client-urls={clients}", "--unsafe-no-fsync", "--log-level=warn"]
    return Component("etcd", argv, folder / "etcd.log", lambda: says_ok(f"{clients}/health"))


def _apiserver(
    folder: Path, programs: Programs, credentials: Credentials, store: int, port: int
) -> Component:
    argv = [
        *programs.apiserver,
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--advertise-address=10.244.0.1",  # unused; without it a default route is looked for
        f"--cert-dir={credentials.certificates}",
        f"--token-auth-file={credentials.token_file}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={credentials.key}",
        f"--service-account-signing-key-file={credentials.key}",
        f"--service-cluster-ip-range={SERVICES}",
        "--endpoint-reconciler-type=none",  # nobody reaches the server through its Service
        "--allow-privileged",
        f"--audit-policy-file={folder / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-maxsize=4096",  # MB; a log that is cut in the middle can't be counted
    ]

    def ready() -> bool:
        return says_ok(f"https://127.0.0.1:{port}/readyz", credentials.authority)

    return Component("kube-apiserver", argv, folder / "apiserver.log", ready)


def _controllers(folder: Path, programs: Programs, credentials: Credentials) -> Component | None:
    if programs.controllers is None:
        return None
    port = free_port()
    argv = [
        *programs.controllers,
        f"--kubeconfig={folder / 'controllers.kubeconfig'}",
        "--leader-elect=false",
        f"--service-account-private-key-file={credentials.key}",
        f"--root-ca-file={credentials.authority}",
        "--kube-api-qps=500",  # with its usual 20, many pods wait for nothing but this limit
        "--kube-api-burst=1000",
        "--node-monitor-grace-period=1h",  # the node reports when it must, not every 10 s
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
    ]
    log = folder / "controllers.log"
    return Component("kube-controller-manager", argv, log, lambda: listens(port))


def _scheduler(folder: Path, programs: Programs) -> Component | None:
    if programs.scheduler is None:
        return None
    port = free_port()
    argv = [
        *programs.scheduler,
        f"--kubeconfig={folder / 'controllers.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
    ]
    return Component("kube-scheduler", argv, folder / "scheduler.log", lambda: listens(port))
