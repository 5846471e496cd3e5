// The calling convention of the lattice: import module `wasmbus` (protocol section 5).
//
// The guest calls the host through these functions; the host calls `__guest_call`, which `main.c` exports.
#pragma once

#include <stdint.h>

#define WASMBUS(name) __attribute__((import_module("wasmbus"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

WASMBUS(__guest_request) void guest_request(uint8_t *operation, uint8_t *argument);
WASMBUS(__guest_response) void guest_response(const uint8_t *result, uint32_t length);
WASMBUS(__guest_error) void guest_error(const char *text, uint32_t length);
WASMBUS(__host_call)
int32_t host_call(const char *binding, uint32_t binding_length, const char *contract, uint32_t contract_length,
                  const char *operation, uint32_t operation_length, const uint8_t *argument, uint32_t argument_length);
WASMBUS(__host_response_len) uint32_t host_response_len(void);
WASMBUS(__host_response) void host_response(uint8_t *to);
WASMBUS(__host_error_len) uint32_t host_error_len(void);
WASMBUS(__host_error) void host_error(uint8_t *to);
