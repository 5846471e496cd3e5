//! An actor in Zig: a waPC module without any SDK.

const std = @import("std");
const http = @import("http.zig");
const wapc = @import("wapc.zig");

const calls = "/call/";

/// Answers one call. What comes with `error.Reported` goes to the caller as it is.
pub fn handle(memory: std.mem.Allocator, operation: []const u8, argument: []const u8, report: *[]const u8) ![]const u8 {
    if (!std.mem.eql(u8, operation, "HttpServer.HandleRequest")) return failed(report, "unknown operation");
    const request = http.decode(argument) catch return failed(report, "the message is malformed");
    if (std.mem.eql(u8, request.path, "/fail")) return failed(report, "failed as asked");
    if (std.mem.startsWith(u8, request.path, calls)) {
        const said = try wapc.hostCall(memory, "", request.path[calls.len..], "Greet", request.body);
        return http.encode(memory, if (said.failed) 502 else 200, &.{said.bytes});
    }
    const name = if (request.name.len > 0) request.name else "nobody";
    return http.encode(memory, 200, &.{
        "zig: ", request.method, " ",          request.path, "?", request.query, " from ",
        name,    "\n",           request.body,
    });
}

fn failed(report: *[]const u8, text: []const u8) error{Reported} {
    report.* = text;
    return error.Reported;
}

comptime {
    _ = wapc;
}
