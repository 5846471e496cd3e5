// The part of MessagePack that messages of contracts are made of.
#pragma once

#include "memory.h"

// Takes values from the front. After the first failure it gives zeros and empty pieces only.
typedef struct {
    Bytes rest;
    int failed;
} Reader;

uint32_t read_map(Reader *reader);
uint32_t read_array(Reader *reader);
Bytes read_text(Reader *reader);
Bytes read_binary(Reader *reader);
// A value of any kind that is not asked for.
void read_past(Reader *reader);

// Appends values to memory that is large enough for all of them.
typedef struct {
    uint8_t *begin;
    uint32_t length;
} Writer;

void write_raw(Writer *writer, Bytes bytes);
// At most 15 members.
void write_map(Writer *writer, uint8_t members);
// At most 15 items.
void write_array(Writer *writer, uint8_t items);
// At most 31 bytes.
void write_text(Writer *writer, Bytes text);
void write_uint16(Writer *writer, uint16_t number);
// Opens a piece of so many bytes, which are then written raw.
void write_binary(Writer *writer, uint32_t length);
