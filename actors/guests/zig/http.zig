//! HTTP as the messages of the contract `wasmcloud:httpserver` (protocol section 7.6).

const std = @import("std");
const msgpack = @import("msgpack.zig");

/// What we use of a request, as pieces of its message.
pub const Request = struct {
    method: []const u8 = "",
    path: []const u8 = "",
    query: []const u8 = "",
    /// The first value of the header `x-name`.
    name: []const u8 = "",
    body: []const u8 = "",
};

const Member = enum { method, path, queryString, header, body };

pub fn decode(message: []const u8) !Request {
    var reader = msgpack.Reader{ .rest = message };
    var request = Request{};
    for (0..try reader.map()) |_| {
        const member = std.meta.stringToEnum(Member, try reader.text()) orelse {
            try reader.skip(msgpack.deepest);
            continue;
        };
        switch (member) {
            .method => request.method = try reader.text(),
            .path => request.path = try reader.text(),
            .queryString => request.query = try reader.text(),
            .header => try decodeHeader(&reader, &request),
            .body => request.body = try reader.binary(),
        }
    }
    return request;
}

fn decodeHeader(reader: *msgpack.Reader, request: *Request) !void {
    for (0..try reader.map()) |_| {
        const wanted = std.mem.eql(u8, try reader.text(), "x-name");
        for (0..try reader.array()) |_| {
            const value = try reader.text();
            if (wanted and request.name.len == 0) request.name = value;
        }
    }
}

/// A response whose body is these pieces, one after the other.
pub fn encode(memory: std.mem.Allocator, status: u16, body: []const []const u8) ![]const u8 {
    var length: usize = 0;
    for (body) |piece| length += piece.len;
    var writer = msgpack.Writer{ .memory = memory };
    try writer.map(3);
    try writer.text("statusCode");
    try writer.number(u16, 0xcd, status);
    try writer.text("header");
    try writer.map(2);
    for ([_][2][]const u8{ .{ "content-type", "text/plain; charset=utf-8" }, .{ "x-language", "zig" } }) |header| {
        try writer.text(header[0]);
        try writer.array(1);
        try writer.text(header[1]);
    }
    try writer.text("body");
    try writer.number(u32, 0xc6, @intCast(length));
    for (body) |piece| try writer.raw(piece);
    return writer.out.items;
}
