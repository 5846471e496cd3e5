//! The part of MessagePack that messages of contracts are made of.

const std = @import("std");

/// How deep a value that is skipped may be nested.
pub const deepest = 32;

/// Takes values from the front.
pub const Reader = struct {
    rest: []const u8,

    pub fn map(reader: *Reader) !usize {
        const marker = try reader.integer(u8);
        return switch (marker) {
            0x80...0x8f => marker & 0x0f,
            0xde => try reader.integer(u16),
            0xdf => try reader.integer(u32),
            else => error.Malformed,
        };
    }

    pub fn array(reader: *Reader) !usize {
        const marker = try reader.integer(u8);
        return switch (marker) {
            0x90...0x9f => marker & 0x0f,
            0xdc => try reader.integer(u16),
            0xdd => try reader.integer(u32),
            else => error.Malformed,
        };
    }

    pub fn text(reader: *Reader) ![]const u8 {
        const marker = try reader.integer(u8);
        return reader.take(switch (marker) {
            0xa0...0xbf => marker & 0x1f,
            0xd9 => try reader.integer(u8),
            0xda => try reader.integer(u16),
            0xdb => try reader.integer(u32),
            else => return error.Malformed,
        });
    }

    pub fn binary(reader: *Reader) ![]const u8 {
        return reader.take(switch (try reader.integer(u8)) {
            0xc4 => try reader.integer(u8),
            0xc5 => try reader.integer(u16),
            0xc6 => try reader.integer(u32),
            else => return error.Malformed,
        });
    }

    /// A value of any kind that is not asked for.
    pub fn skip(reader: *Reader, depth: usize) error{Malformed}!void {
        if (reader.rest.len == 0 or depth == 0) return error.Malformed;
        switch (reader.rest[0]) {
            0x80...0x8f, 0xde, 0xdf => for (0..try reader.map()) |_| {
                try reader.skip(depth - 1);
                try reader.skip(depth - 1);
            },
            0x90...0x9f, 0xdc, 0xdd => for (0..try reader.array()) |_| try reader.skip(depth - 1),
            0xa0...0xbf, 0xd9...0xdb => _ = try reader.text(),
            0xc4...0xc6 => _ = try reader.binary(),
            0x00...0x7f, 0xe0...0xff, 0xc0, 0xc2, 0xc3 => _ = try reader.take(1),
            0xcc, 0xd0 => _ = try reader.take(2),
            0xcd, 0xd1 => _ = try reader.take(3),
            0xca, 0xce, 0xd2 => _ = try reader.take(5),
            0xcb, 0xcf, 0xd3 => _ = try reader.take(9),
            else => return error.Malformed, // extensions are in no contract
        }
    }

    fn integer(reader: *Reader, comptime T: type) !T {
        const bytes = try reader.take(@sizeOf(T));
        return std.mem.readInt(T, bytes[0..@sizeOf(T)], .big);
    }

    fn take(reader: *Reader, length: usize) ![]const u8 {
        if (length > reader.rest.len) return error.Malformed;
        defer reader.rest = reader.rest[length..];
        return reader.rest[0..length];
    }
};

/// Appends values.
pub const Writer = struct {
    memory: std.mem.Allocator,
    out: std.ArrayList(u8) = .empty,

    /// At most 15 members.
    pub fn map(writer: *Writer, members: u8) !void {
        try writer.out.append(writer.memory, 0x80 | members);
    }

    /// At most 15 items.
    pub fn array(writer: *Writer, items: u8) !void {
        try writer.out.append(writer.memory, 0x90 | items);
    }

    /// At most 31 bytes.
    pub fn text(writer: *Writer, bytes: []const u8) !void {
        try writer.out.append(writer.memory, 0xa0 | @as(u8, @intCast(bytes.len)));
        try writer.raw(bytes);
    }

    /// A number behind its marker; the length of binary data, which is then written raw, is one too.
    pub fn number(writer: *Writer, comptime T: type, marker: u8, value: T) !void {
        var bytes: [@sizeOf(T)]u8 = undefined;
        std.mem.writeInt(T, &bytes, value, .big);
        try writer.out.append(writer.memory, marker);
        try writer.raw(&bytes);
    }

    pub fn raw(writer: *Writer, bytes: []const u8) !void {
        try writer.out.appendSlice(writer.memory, bytes);
    }
};
