// HTTP as the messages of the contract `wasmcloud:httpserver` (protocol section 7.6).
#pragma once

#include "memory.h"

// What we use of a request. Of the header `x-name`, the first value; without one, no bytes.
typedef struct {
    Bytes method, path, query, name, body;
} Request;

// False when the message is not a request.
int request_decode(Bytes message, Request *request);

// A response whose body is these pieces, one after the other.
Bytes response_encode(uint16_t status, const Bytes *pieces, uint32_t count);
