// Memory of one call: taken piece by piece from what lies behind the program's own, and given back all at once.
#pragma once

#include <stdint.h>

// A piece of memory. Nobody writes through it but whoever made it.
typedef struct {
    const uint8_t *at;
    uint32_t length;
} Bytes;

// A text known at compile time.
#define TEXT(literal) ((Bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

// So many bytes for the rest of the call. Without memory for them the call traps, which the host reports.
uint8_t *memory_take(uint32_t length);

// Gives everything back: at the begin of a call, because an instance may serve more than one.
void memory_reset(void);

void bytes_copy(uint8_t *to, Bytes from);
int bytes_equal(Bytes one, Bytes other);
int bytes_start_with(Bytes bytes, Bytes prefix);
