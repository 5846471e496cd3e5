//! The calling convention of the lattice: import module `wasmbus` (protocol section 5).

const std = @import("std");
const main = @import("main.zig");

extern "wasmbus" fn __guest_request(operation: [*]u8, argument: [*]u8) void;
extern "wasmbus" fn __guest_response(result: [*]const u8, length: usize) void;
extern "wasmbus" fn __guest_error(text: [*]const u8, length: usize) void;
extern "wasmbus" fn __host_call(
    binding: [*]const u8,
    binding_length: usize,
    namespace: [*]const u8,
    namespace_length: usize,
    operation: [*]const u8,
    operation_length: usize,
    argument: [*]const u8,
    argument_length: usize,
) i32;
extern "wasmbus" fn __host_response_len() usize;
extern "wasmbus" fn __host_response(to: [*]u8) void;
extern "wasmbus" fn __host_error_len() usize;
extern "wasmbus" fn __host_error(to: [*]u8) void;

/// What the host calls; it announces the lengths of what it then writes. 1 is success.
export fn __guest_call(operation_length: usize, argument_length: usize) i32 {
    // Everything of a call is given back at its end, because an instance may serve more than one.
    var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);
    defer arena.deinit();
    var report: []const u8 = "out of memory";
    const result = answer(arena.allocator(), operation_length, argument_length, &report) catch {
        __guest_error(report.ptr, report.len);
        return 0;
    };
    __guest_response(result.ptr, result.len);
    return 1;
}

fn answer(memory: std.mem.Allocator, operation_length: usize, argument_length: usize, report: *[]const u8) ![]const u8 {
    const operation = try buffer(memory, operation_length);
    const argument = try buffer(memory, argument_length);
    __guest_request(operation.ptr, argument.ptr);
    return main.handle(memory, operation, argument, report);
}

/// So many bytes, which lie in memory also when there are none of them: the host checks where it writes nothing, too.
fn buffer(memory: std.mem.Allocator, length: usize) ![]u8 {
    return (try memory.alloc(u8, @max(length, 1)))[0..length];
}

/// The result of a call, or the text of its failure.
pub const Outcome = struct { failed: bool, bytes: []const u8 };

/// Calls out through the host; the text of a failure is the host's.
pub fn hostCall(
    memory: std.mem.Allocator,
    binding: []const u8,
    namespace: []const u8,
    operation: []const u8,
    argument: []const u8,
) !Outcome {
    const code = __host_call(
        binding.ptr,
        binding.len,
        namespace.ptr,
        namespace.len,
        operation.ptr,
        operation.len,
        argument.ptr,
        argument.len,
    );
    const failed = code != 1;
    // Nothing is held when the length is zero, and asking for it then would trap.
    const bytes = try memory.alloc(u8, if (failed) __host_error_len() else __host_response_len());
    if (bytes.len > 0) {
        if (failed) __host_error(bytes.ptr) else __host_response(bytes.ptr);
    }
    return .{ .failed = failed, .bytes = bytes };
}
