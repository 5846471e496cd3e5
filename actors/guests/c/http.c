#include "http.h"

#include "msgpack.h"

// More than everything of a response that is not its body.
#define HEAD_BYTES 256

static void header_decode(Reader *reader, Request *request) {
    for (uint32_t names = read_map(reader); names > 0 && !reader->failed; names--) {
        int wanted = bytes_equal(read_text(reader), TEXT("x-name"));
        for (uint32_t values = read_array(reader); values > 0 && !reader->failed; values--) {
            Bytes value = read_text(reader);
            if (wanted && request->name.length == 0) {
                request->name = value;
            }
        }
    }
}

int request_decode(Bytes message, Request *request) {
    Reader reader = {message, 0};
    *request = (Request){0};
    for (uint32_t members = read_map(&reader); members > 0 && !reader.failed; members--) {
        Bytes member = read_text(&reader);
        if (bytes_equal(member, TEXT("method"))) {
            request->method = read_text(&reader);
        } else if (bytes_equal(member, TEXT("path"))) {
            request->path = read_text(&reader);
        } else if (bytes_equal(member, TEXT("queryString"))) {
            request->query = read_text(&reader);
        } else if (bytes_equal(member, TEXT("header"))) {
            header_decode(&reader, request);
        } else if (bytes_equal(member, TEXT("body"))) {
            request->body = read_binary(&reader);
        } else {
            read_past(&reader);
        }
    }
    return !reader.failed;
}

static void header_encode(Writer *writer, Bytes name, Bytes value) {
    write_text(writer, name);
    write_array(writer, 1);
    write_text(writer, value);
}

Bytes response_encode(uint16_t status, const Bytes *pieces, uint32_t count) {
    uint32_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        length += pieces[i].length;
    }
    Writer writer = {memory_take(HEAD_BYTES + length), 0};
    write_map(&writer, 3);
    write_text(&writer, TEXT("statusCode"));
    write_uint16(&writer, status);
    write_text(&writer, TEXT("header"));
    write_map(&writer, 2);
    header_encode(&writer, TEXT("content-type"), TEXT("text/plain; charset=utf-8"));
    header_encode(&writer, TEXT("x-language"), TEXT("c"));
    write_text(&writer, TEXT("body"));
    write_binary(&writer, length);
    for (uint32_t i = 0; i < count; i++) {
        write_raw(&writer, pieces[i]);
    }
    return (Bytes){writer.begin, writer.length};
}
