"""Why nobody could listen on a port, and who has it."""

import errno
import socket

import psutil


def obstacle(address: str, port: int) -> str:
    """Why nobody could listen there now, in words; empty if one could."""
    with socket.socket() as probe:
        # As servers do: connections that have just ended are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} of {address} is taken{_by_whom(port)}"
            return f"can't listen on {address}:{port}: {error.strerror}"
    return ""


def _by_whom(port: int) -> str:
    """Best effort: other users' processes can't always be seen."""
    try:
        for connection in psutil.net_connections("tcp"):
            here = [*connection.laddr][1:] == [port]
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""


def connected(pid: int, address: str, port: int) -> bool:
    """Whether this process has a connection to there, as the kernel sees it."""
    try:
        return any(
            tuple(each.raddr) == (address, port)
            for each in psutil.Process(pid).net_connections("tcp")
            # An end that has been closed sends nothing any more.
            if each.status in (psutil.CONN_ESTABLISHED, psutil.CONN_SYN_SENT)
        )
    except psutil.NoSuchProcess:
        return False
