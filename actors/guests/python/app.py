"""An actor in Python: a WASI 0.2 component that answers HTTP and calls other actors."""

from urllib.parse import urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import host, types
from wit_world.imports.lattice import ActorIdentifier_Alias, TargetEntity_Actor
from wit_world.imports.streams import StreamError_Closed

# Most bytes that one host call moves. Writes of more than 4 KiB are refused by the stream.
READ_BYTES = 64 * 1024
WRITE_BYTES = 4096


class IncomingHandler(exports.IncomingHandler):
    """What the host calls for each request."""

    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        status, body = answer(request)
        headers = types.Fields.from_list([
            ("content-type", b"text/plain; charset=utf-8"),
            ("x-language", b"python"),
        ])
        response = types.OutgoingResponse(headers)
        response.set_status_code(status)
        outgoing = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        with outgoing.write() as stream:
            for begin in range(0, len(body), WRITE_BYTES):
                stream.blocking_write_and_flush(body[begin:begin + WRITE_BYTES])
        types.OutgoingBody.finish(outgoing, None)


def answer(request: types.IncomingRequest) -> tuple[int, bytes]:
    """Status and body of the answer."""
    target = urlsplit(request.path_with_query() or "/")
    if target.path == "/fail":
        raise RuntimeError("failed as asked")
    body = read(request.consume())
    if target.path.startswith("/call/"):
        return call(target.path.removeprefix("/call/"), body)
    names = request.headers().get("x-name")
    name = names[0].decode() if names else "nobody"
    line = f"python: {method(request)} {target.path}?{target.query} from {name}\n"
    return 200, line.encode() + body


def call(actor: str, argument: bytes) -> tuple[int, bytes]:
    """What another actor says, or why it says nothing."""
    target = TargetEntity_Actor(ActorIdentifier_Alias(actor))
    try:
        return 200, host.call_sync(target, "Greet", argument)
    except Err as error:
        return 502, error.value.encode()


def read(body: types.IncomingBody) -> bytes:
    """All that comes, until the stream ends."""
    parts = []
    with body, body.stream() as stream:
        while True:
            try:
                parts.append(stream.blocking_read(READ_BYTES))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(parts)
                raise


def method(request: types.IncomingRequest) -> str:
    """The method as it stands in a request line."""
    match request.method():
        case types.Method_Other(value):
            return value
        case other:
            return type(other).__name__.removeprefix("Method_").upper()
