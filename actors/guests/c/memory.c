#include "memory.h"

#define PAGE 65536u

// Where the program's own data ends; the linker knows.
extern uint8_t __heap_base;

static uint64_t next;

void memory_reset(void) {
    next = (uint32_t)&__heap_base;
}

uint8_t *memory_take(uint32_t length) {
    uint64_t begin = next;
    uint64_t end = begin + length;
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == (__SIZE_TYPE__)-1) {
        __builtin_trap();
    }
    next = end;
    return (uint8_t *)(uint32_t)begin;
}

void bytes_copy(uint8_t *to, Bytes from) {
    __builtin_memcpy(to, from.at, from.length);
}

int bytes_equal(Bytes one, Bytes other) {
    return one.length == other.length && bytes_start_with(one, other);
}

int bytes_start_with(Bytes bytes, Bytes prefix) {
    if (bytes.length < prefix.length) {
        return 0;
    }
    for (uint32_t i = 0; i < prefix.length; i++) {
        if (bytes.at[i] != prefix.at[i]) {
            return 0;
        }
    }
    return 1;
}
