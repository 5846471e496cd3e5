#include "msgpack.h"

// How deep a value that is skipped may be nested.
#define DEEPEST 32

static void fail(Reader *reader) {
    reader->failed = 1;
    reader->rest.length = 0;
}

static Bytes take(Reader *reader, uint32_t length) {
    if (length > reader->rest.length) {
        fail(reader);
        return (Bytes){0, 0};
    }
    Bytes taken = {reader->rest.at, length};
    reader->rest.at += length;
    reader->rest.length -= length;
    return taken;
}

// A big-endian number of at most four bytes.
static uint32_t number(Reader *reader, uint32_t width) {
    Bytes bytes = take(reader, width);
    uint32_t number = 0;
    for (uint32_t i = 0; i < bytes.length; i++) {
        number = number << 8 | bytes.at[i];
    }
    return number;
}

uint32_t read_map(Reader *reader) {
    uint32_t marker = number(reader, 1);
    if ((marker & 0xf0) == 0x80) return marker & 0x0f;
    if (marker == 0xde || marker == 0xdf) return number(reader, 2u << (marker - 0xde));
    fail(reader);
    return 0;
}

uint32_t read_array(Reader *reader) {
    uint32_t marker = number(reader, 1);
    if ((marker & 0xf0) == 0x90) return marker & 0x0f;
    if (marker == 0xdc || marker == 0xdd) return number(reader, 2u << (marker - 0xdc));
    fail(reader);
    return 0;
}

Bytes read_text(Reader *reader) {
    uint32_t marker = number(reader, 1);
    if ((marker & 0xe0) == 0xa0) return take(reader, marker & 0x1f);
    if (marker >= 0xd9 && marker <= 0xdb) return take(reader, number(reader, 1u << (marker - 0xd9)));
    fail(reader);
    return (Bytes){0, 0};
}

Bytes read_binary(Reader *reader) {
    uint32_t marker = number(reader, 1);
    if (marker >= 0xc4 && marker <= 0xc6) return take(reader, number(reader, 1u << (marker - 0xc4)));
    fail(reader);
    return (Bytes){0, 0};
}

static void past(Reader *reader, uint32_t deepest) {
    // Behind the marker of a float or an integer: f32, f64, u8 to u64, i8 to i64.
    static const uint8_t widths[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    if (reader->rest.length == 0 || deepest == 0) {
        fail(reader);
        return;
    }
    uint8_t marker = reader->rest.at[0];
    uint64_t items = 0;
    if ((marker & 0xf0) == 0x80 || marker == 0xde || marker == 0xdf) {
        items = 2 * (uint64_t)read_map(reader);
    } else if ((marker & 0xf0) == 0x90 || marker == 0xdc || marker == 0xdd) {
        items = read_array(reader);
    } else if ((marker & 0xe0) == 0xa0 || (marker >= 0xd9 && marker <= 0xdb)) {
        read_text(reader);
    } else if (marker >= 0xc4 && marker <= 0xc6) {
        read_binary(reader);
    } else if (marker >= 0xca && marker <= 0xd3) {
        take(reader, 1u + widths[marker - 0xca]);
    } else if (marker < 0x80 || marker >= 0xe0 || marker == 0xc0 || marker == 0xc2 || marker == 0xc3) {
        take(reader, 1);
    } else {
        fail(reader); // extensions are in no contract
    }
    for (; items > 0 && !reader->failed; items--) {
        past(reader, deepest - 1);
    }
}

void read_past(Reader *reader) {
    past(reader, DEEPEST);
}

static void write_byte(Writer *writer, uint8_t byte) {
    writer->begin[writer->length++] = byte;
}

void write_raw(Writer *writer, Bytes bytes) {
    bytes_copy(writer->begin + writer->length, bytes);
    writer->length += bytes.length;
}

void write_map(Writer *writer, uint8_t members) {
    write_byte(writer, 0x80 | members);
}

void write_array(Writer *writer, uint8_t items) {
    write_byte(writer, 0x90 | items);
}

void write_text(Writer *writer, Bytes text) {
    write_byte(writer, 0xa0 | (uint8_t)text.length);
    write_raw(writer, text);
}

void write_uint16(Writer *writer, uint16_t number) {
    write_byte(writer, 0xcd);
    write_byte(writer, number >> 8);
    write_byte(writer, number & 0xff);
}

void write_binary(Writer *writer, uint32_t length) {
    write_byte(writer, 0xc6);
    for (int shift = 24; shift >= 0; shift -= 8) {
        write_byte(writer, length >> shift & 0xff);
    }
}
