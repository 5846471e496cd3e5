// An actor in C: a waPC module without any library, not even C's own.

#include "http.h"
#include "wapc.h"

// The result of a call, or the text of its failure, which goes to the caller as it is.
typedef struct {
    int failed;
    Bytes bytes;
} Outcome;

static Outcome succeeded(Bytes result) {
    return (Outcome){0, result};
}

static Outcome failed(Bytes text) {
    return (Outcome){1, text};
}

// What the host holds. Nothing is held when the length is zero, and asking for it then would trap.
static Bytes fetch(uint32_t length, void (*take)(uint8_t *)) {
    uint8_t *bytes = memory_take(length);
    if (length > 0) {
        take(bytes);
    }
    return (Bytes){bytes, length};
}

static Outcome call_actor(Bytes actor, Bytes argument) {
    Bytes binding = TEXT(""), operation = TEXT("Greet");
    int32_t code = host_call((const char *)binding.at, binding.length, (const char *)actor.at, actor.length,
                             (const char *)operation.at, operation.length, argument.at, argument.length);
    if (code == 1) {
        return succeeded(fetch(host_response_len(), host_response));
    }
    return failed(fetch(host_error_len(), host_error));
}

static Outcome answer(Bytes message) {
    const Bytes calls = TEXT("/call/");
    Request request;
    if (!request_decode(message, &request)) {
        return failed(TEXT("the message is malformed"));
    }
    if (bytes_equal(request.path, TEXT("/fail"))) {
        return failed(TEXT("failed as asked"));
    }
    if (bytes_start_with(request.path, calls)) {
        Bytes actor = {request.path.at + calls.length, request.path.length - calls.length};
        Outcome said = call_actor(actor, request.body);
        return succeeded(response_encode(said.failed ? 502 : 200, &said.bytes, 1));
    }
    Bytes name = request.name.length > 0 ? request.name : TEXT("nobody");
    Bytes body[] = {
        TEXT("c: "), request.method, TEXT(" "), request.path,  TEXT("?"), request.query, TEXT(" from "),
        name,        TEXT("\n"),     request.body,
    };
    return succeeded(response_encode(200, body, sizeof(body) / sizeof(body[0])));
}

EXPORT(__guest_call) int32_t guest_call(uint32_t operation_length, uint32_t argument_length) {
    memory_reset();
    uint8_t *operation = memory_take(operation_length), *argument = memory_take(argument_length);
    guest_request(operation, argument);

    int known = bytes_equal((Bytes){operation, operation_length}, TEXT("HttpServer.HandleRequest"));
    Outcome outcome = known ? answer((Bytes){argument, argument_length}) : failed(TEXT("unknown operation"));
    if (outcome.failed) {
        guest_error((const char *)outcome.bytes.at, outcome.bytes.length);
        return 0;
    }
    guest_response(outcome.bytes.at, outcome.bytes.length);
    return 1;
}
