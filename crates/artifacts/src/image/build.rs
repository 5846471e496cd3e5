//! Making an image out of a wasm file, as `FROM scratch` and one `COPY` would.
//!
//! Times and owners are fixed, so the same file gives the same image.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde_json::json;

use super::WASM_SUFFIX;
use crate::digest::Digest;

/// The parts of an image that were made here.
pub(crate) struct Image {
    pub(crate) layer: Bytes,
    pub(crate) config: Bytes,
}

/// Wraps `wasm` as `/{name}`, which the image runs. What is no plain name for a file in `name` is left out.
pub(crate) fn build(wasm: &[u8], name: &str) -> Image {
    let name = plain_name(name);
    let tar = layer(wasm, &name).expect("writing to memory does not fail");
    let diff_id = Digest::of(&tar);
    let config = json!({
        "architecture": "wasm",
        "os": "wasi",
        "config": { "Entrypoint": [format!("/{name}")] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] },
        "history": [{ "created_by": format!("COPY {name} /") }],
    });
    let layer = gzip(&tar).expect("writing to memory does not fail");
    Image { layer: layer.into(), config: config.to_string().into() }
}

fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let kept: String = last.chars().filter(|c| plain(*c)).take(64).collect();
    let stem = kept.strip_suffix(WASM_SUFFIX).unwrap_or(&kept).trim_start_matches('.');
    format!("{}{WASM_SUFFIX}", if stem.is_empty() { "module" } else { stem })
}

fn layer(wasm: &[u8], name: &str) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::with_capacity(wasm.len() + 2048));
    let mut header = tar::Header::new_ustar();
    header.set_size(wasm.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, wasm)?;
    tar.into_inner()
}

fn gzip(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    gzip.write_all(tar)?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Limits, parse_config, single_wasm_file};

    #[test]
    fn what_is_built_is_read_again() {
        let wasm = b"\0asm\x01\0\0\0";
        let image = build(wasm, "some/dir/echo_s.wasm");
        let file = single_wasm_file([&image.layer[..]], Limits::default()).expect("one wasm file");
        assert_eq!((file.path.as_str(), &file.bytes[..]), ("echo_s.wasm", &wasm[..]));
        let config = parse_config(&image.config).expect("a config");
        assert_eq!(config.program().as_deref(), Some("echo_s.wasm"));
        config.check_program(&file.path).expect("the image runs what it holds");
        assert_eq!(build(wasm, "echo_s.wasm").layer, image.layer, "the same file gives the same image");
    }

    #[test]
    fn names_become_plain() {
        let cases = [("echo.wasm", "echo.wasm"), ("echo", "echo.wasm"), ("..", "module.wasm"), ("", "module.wasm")];
        for (name, plain) in cases.into_iter().chain([("../a b\n.wasm", "ab.wasm"), (".wasm", "module.wasm")]) {
            assert_eq!(plain_name(name), plain, "{name:?}");
        }
    }
}
