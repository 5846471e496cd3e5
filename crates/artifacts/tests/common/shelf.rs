//! A shelf of artifacts: what an honest registry would answer. Tests take it and lie in one place.

use std::collections::HashMap;

use artifacts::{Digest, PushContent, Reference};
use bytes::Bytes;
use serde_json::{Value, json};

use super::server::{Answer, Content, Seen, Server};

/// A wasm file of `size` bytes that are all different from those of another `seed`.
pub fn wasm(size: usize, seed: u8) -> Bytes {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    bytes.extend(
        (8..size).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed).wrapping_add((index >> 8) as u8)),
    );
    bytes.into()
}

#[derive(Default, Clone)]
pub struct Shelf {
    manifests: HashMap<String, Bytes>,
    blobs: HashMap<Digest, Bytes>,
}

impl Shelf {
    /// With an actor of these bytes at `demo:1`.
    pub fn with_actor(bytes: &Bytes) -> Self {
        let mut shelf = Self::default();
        let layer = shelf.layer("application/vnd.module.wasm.content.layer.v1+wasm", bytes.clone());
        shelf.artifact("1", "application/vnd.wasmcloud.actor.archive.config", &[layer]);
        shelf
    }

    /// With what pushing `content` would leave, at `demo:1`; `parts` are its blobs.
    pub fn with_pushed(content: &PushContent, parts: impl IntoIterator<Item = Bytes>) -> Self {
        let mut shelf = Self::default();
        parts.into_iter().for_each(|part| drop(shelf.blobs.insert(Digest::of(&part), part)));
        shelf.manifest("1", &content.manifest());
        shelf
    }

    /// Keeps a blob; its descriptor.
    pub fn layer(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Value {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let descriptor = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() });
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// Keeps a manifest of these layers under `tag`; its digest.
    pub fn artifact(&mut self, tag: &str, config_type: &str, layers: &[Value]) -> Digest {
        self.artifact_with(tag, config_type, b"{}".as_slice(), json!({}), layers)
    }

    pub fn artifact_with(
        &mut self,
        tag: &str,
        config_type: &str,
        config: impl Into<Bytes>,
        annotations: Value,
        layers: &[Value],
    ) -> Digest {
        let config = self.layer(config_type, config);
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers, "annotations": annotations });
        self.manifest(tag, manifest.to_string().as_bytes())
    }

    /// Keeps a text as the manifest under `tag` and its digest.
    pub fn manifest(&mut self, tag: &str, text: &[u8]) -> Digest {
        let (text, digest) = (Bytes::copy_from_slice(text), Digest::of(text));
        self.manifests.insert(tag.to_owned(), text.clone());
        self.manifests.insert(digest.to_string(), text);
        digest
    }

    /// The length of a kept manifest.
    pub fn manifest_len(&self, digest: &Digest) -> usize {
        self.manifests[&digest.to_string()].len()
    }

    /// What an honest registry answers.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let path = seen.path.split('?').next().unwrap_or_default();
        if path == "/v2/" {
            return Answer::new(200, "{}");
        }
        if let Some(name) = path.strip_prefix("/v2/demo/manifests/")
            && let Some(text) = self.manifests.get(name)
        {
            let digest = Digest::of(text).to_string();
            return Answer::new(200, text.clone()).with("docker-content-digest", digest);
        }
        let blob = path.strip_prefix("/v2/demo/blobs/").and_then(|digest| digest.parse().ok());
        match blob.and_then(|digest: Digest| self.blobs.get(&digest)) {
            Some(bytes) => ranged(seen, bytes),
            None => Answer::new(404, r#"{"errors":[{"code":"NAME_UNKNOWN","message":"nothing here"}]}"#),
        }
    }

    pub async fn serve(self) -> Server {
        Server::start(move |seen| self.answer(seen)).await
    }

    /// `demo:1` at `server`.
    pub fn reference(server: &Server) -> Reference {
        Self::tagged(server, "1")
    }

    pub fn tagged(server: &Server, tag: &str) -> Reference {
        Reference::parse(&format!("{}/demo:{tag}", server.authority()), None).expect("a reference")
    }

    pub fn pinned(server: &Server, digest: Digest) -> Reference {
        Reference::parse(&format!("{}/demo@{digest}", server.authority()), None).expect("a reference")
    }
}

/// A blob, or the rest of it that is asked for.
pub fn ranged(seen: &Seen, bytes: &Bytes) -> Answer {
    let start: Option<usize> =
        seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match start {
        Some(start) if start < bytes.len() => {
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            Answer::new(206, bytes.slice(start..)).with("content-range", range)
        }
        Some(_) => Answer::new(416, ""),
        None => Answer { status: 200, headers: Vec::new(), content: Content::Whole(bytes.clone()) },
    }
}
