"""What is written about each request: one JSON object a line."""

from canary.local.envoy.names import Json, Paths, key_of, typed

FIELDS = {
    "time": "%START_TIME%",
    "caller": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "caller_certificate": "%DOWNSTREAM_PEER_SUBJECT%",
    "version": "%UPSTREAM_CLUSTER%",
    "process": "%UPSTREAM_METADATA(canary:instance)%",
    "upstream": "%UPSTREAM_HOST%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "code": "%RESPONSE_CODE%",
    "code_details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "trace_id": "%TRACE_ID%",
}


def access_log(listener: str, paths: Paths) -> Json:
    """A file shared by all listeners; `route` and `listener` tell them apart."""
    who = {"route": key_of(listener), "listener": listener.rsplit("/", 1)[1]}
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            path=str(paths.access_log),
            log_format={"json_format": {**who, **FIELDS}},
        ),
    }
