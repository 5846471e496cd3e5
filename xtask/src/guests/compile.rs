//! How each language is compiled: one command per guest, run in a copy of its sources.
//!
//! Invariant: a compiler reads no settings of the user's and takes nothing from the network.

use std::{path::Path, process::Command};

/// Bytes of stack of a module: its memory is what a host resets after every call.
const STACK_BYTES: u32 = 64 << 10;

/// The command that compiles a guest.
///
/// # Panics
/// When the guest is not listed.
pub(super) fn command(guest: &str, tool: &Path, cache: &Path, output: &Path) -> Command {
    match guest {
        "go" => go(tool, cache, output),
        "c" => c(tool, cache, output),
        "zig" => zig(tool, cache, output),
        "assemblyscript" => assemblyscript(tool, output),
        "python" => python(tool, output),
        "javascript" => javascript(tool, output),
        _ => unreachable!("every guest has a command"),
    }
}

/// A reactor: `_initialize` starts the language, `__guest_call` stays callable after it.
fn go(tool: &Path, cache: &Path, output: &Path) -> Command {
    let mut go = Command::new(tool.join("go/bin/go"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GO") || name.to_string_lossy().starts_with("CGO") {
            go.env_remove(name);
        }
    }
    go.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOENV", "off"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
    go.env("GOROOT", tool.join("go")).env("GOPATH", cache.join("go")).env("GOCACHE", cache.join("go-build"));
    go.args(["build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w", "-o"]).arg(output);
    go.arg(".");
    go
}

fn ziglang(tool: &Path, cache: &Path) -> Command {
    let mut zig = Command::new(tool.join("ziglang/zig"));
    zig.env("ZIG_GLOBAL_CACHE_DIR", cache.join("zig")).env("ZIG_LOCAL_CACHE_DIR", cache.join("zig-local"));
    zig
}

/// Without a C library: there is nothing below the guest but the host.
fn c(tool: &Path, cache: &Path, output: &Path) -> Command {
    let mut zig = ziglang(tool, cache);
    zig.args(["cc", "-target", "wasm32-freestanding", "-std=c17", "-Os", "-s", "-nostdlib", "-mbulk-memory"]);
    zig.args(["-Wall", "-Wextra", "-Werror", "-Wl,--no-entry"]).arg(format!("-Wl,-z,stack-size={STACK_BYTES}"));
    zig.args(["main.c", "http.c", "msgpack.c", "memory.c", "-o"]).arg(output);
    zig
}

fn zig(tool: &Path, cache: &Path, output: &Path) -> Command {
    let mut zig = ziglang(tool, cache);
    zig.args(["build-exe", "main.zig", "-target", "wasm32-freestanding", "-O", "ReleaseSmall", "-fstrip"]);
    zig.args(["-fno-entry", "--export=__guest_call", "--stack"]).arg(STACK_BYTES.to_string());
    let mut emit = std::ffi::OsString::from("-femit-bin=");
    emit.push(output);
    zig.arg(emit);
    zig
}

fn assemblyscript(tool: &Path, output: &Path) -> Command {
    let mut asc = node(tool, "asc");
    // Without `--use`, `abort` would be an import that no host has.
    asc.args(["index.ts", "--config", "none", "--optimize", "--runtime", "incremental", "--use", "abort=wapc/abort"]);
    asc.arg("--outFile").arg(output);
    asc
}

fn python(tool: &Path, output: &Path) -> Command {
    let mut componentize = Command::new(tool.join("bin/componentize-py"));
    // It would search the packages of a virtual environment.
    componentize.env_remove("VIRTUAL_ENV").env_remove("PYTHONHOME").env("PYTHONPATH", tool);
    componentize.args(["--quiet", "--wit-path", "wit", "--world", "guest"]);
    componentize.args(["componentize", "--python-path", ".", "app", "--output"]).arg(output);
    componentize
}

/// Never `--aot`: it fetches a compiler.
fn javascript(tool: &Path, output: &Path) -> Command {
    let mut jco = node(tool, "jco");
    jco.args(["componentize", "app.js", "--wit", "wit", "--world-name", "guest", "--out"]).arg(output);
    jco
}

/// A program of an npm package.
fn node(tool: &Path, program: &str) -> Command {
    let mut command = Command::new(tool.join("node_modules/.bin").join(program));
    command.env_remove("NODE_OPTIONS").env_remove("NODE_PATH");
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::GUESTS;

    #[test]
    fn every_guest_has_a_command_that_writes_where_it_is_told_to() {
        for guest in GUESTS {
            let command = command(guest.name, Path::new("tool"), Path::new("cache"), Path::new("there.wasm"));
            assert!(command.get_program().as_encoded_bytes().starts_with(b"tool/"), "{command:?}");
            let told = command.get_args().any(|arg| arg.as_encoded_bytes().ends_with(b"there.wasm"));
            assert!(told, "{command:?}");
        }
    }
}
