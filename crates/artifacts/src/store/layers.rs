//! What the layers of a manifest are, judged by their types: parts of the artifact, file systems of an image, or a choice
//! that only their content decides.
//!
//! Tools disagree on how WebAssembly is filed, and put layers beside it that are not for hosts. Pure. Invariant: a layer
//! whose type names WebAssembly or a provider archive is never passed over for one whose type says nothing.

use super::FetchError;
use crate::content::{ACTOR_LAYER, PROVIDER_LAYER};
use crate::image;
use crate::manifest::{Blob, Manifest};

/// What is made of the layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// Parts of the artifact, in order.
    Parts(Vec<&'a Blob>),
    /// File systems.
    Image,
    /// One of these is the artifact; their types do not say which.
    OneOf(Vec<&'a Blob>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wasm,
    Archive,
    /// Bytes, the type says no more.
    Vague,
    Other,
}

pub(super) fn form(manifest: &Manifest) -> Result<Form<'_>, FetchError> {
    let layers = &manifest.layers;
    // Older tools called the content of an artifact a tar layer; images do so too, and have a configuration of images.
    let is_image =
        image::is_config(&manifest.config.media_type) && layers.iter().all(|layer| image::is_layer(&layer.media_type));
    if is_image {
        return Ok(Form::Image);
    }
    let of = |wanted: Kind| layers.iter().filter(|layer| kind(&layer.media_type) == wanted).collect::<Vec<_>>();
    let (wasm, archives, vague) = (of(Kind::Wasm), of(Kind::Archive), of(Kind::Vague));
    if !wasm.is_empty() && !archives.is_empty() {
        let media_types = types(wasm.iter().chain(&archives).copied());
        return Err(FetchError::Ambiguous { count: wasm.len() + archives.len(), media_types });
    }
    if layers.iter().all(is_old_part) {
        return Ok(Form::Parts(layers.iter().collect()));
    }
    match (wasm, archives, vague) {
        (wasm, _, _) if !wasm.is_empty() => Ok(Form::Parts(wasm)),
        (_, archives, _) if !archives.is_empty() => Ok(Form::Parts(archives)),
        (_, _, vague) if !vague.is_empty() => Ok(Form::OneOf(vague)),
        _ => Err(FetchError::UnknownLayer { media_types: types(layers.iter()) }),
    }
}

/// The types of some layers, each once.
pub(super) fn types<'a>(layers: impl Iterator<Item = &'a Blob>) -> Vec<String> {
    let mut types: Vec<String> = layers.map(|layer| layer.media_type.clone()).collect();
    types.sort();
    types.dedup();
    types
}

fn kind(media_type: &str) -> Kind {
    // Parameters, as in `application/wasm; charset=binary`, say nothing about what it is.
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        PROVIDER_LAYER => Kind::Archive,
        "application/wasm" => Kind::Wasm,
        image::OCI_LAYER | "application/octet-stream" | "application/x-wasm" | "" => Kind::Vague,
        other if other.ends_with("+wasm") => Kind::Wasm,
        _ => Kind::Other,
    }
}

/// What older tools call the content of any artifact.
fn is_old_part(layer: &Blob) -> bool {
    [ACTOR_LAYER, PROVIDER_LAYER, image::OCI_LAYER].contains(&layer.media_type.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const TAR: &str = image::OCI_LAYER;

    fn formed(types: &[&str]) -> Result<String, &'static str> {
        let blob = |(at, media_type): (usize, &&str)| Blob {
            media_type: (*media_type).to_owned(),
            digest: Digest::of(&[at as u8]),
            size: at as u64,
            annotations: Default::default(),
        };
        let config = blob((99, &"application/vnd.test.config"));
        let layers: Vec<Blob> = types.iter().enumerate().map(blob).collect();
        let manifest = Manifest { artifact_type: None, config, layers, annotations: Default::default() };
        let numbers = |blobs: &[&Blob]| blobs.iter().map(|blob| blob.size.to_string()).collect::<String>();
        match form(&manifest).map_err(|error| error.code())? {
            Form::Parts(parts) => Ok(format!("parts {}", numbers(&parts))),
            Form::OneOf(some) => Ok(format!("one of {}", numbers(&some))),
            Form::Image => Ok("image".to_owned()),
        }
    }

    #[test]
    fn every_name_of_webassembly_is_one() {
        for name in [
            ACTOR_LAYER,
            "application/wasm",
            "application/wasm; charset=binary",
            "Application/Wasm",
            "application/vnd.wasm.content.layer.v1+wasm",
            "application/vnd.wasm.component.layer.v0+wasm",
            "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
        ] {
            assert_eq!(formed(&[name]).as_deref(), Ok("parts 0"), "{name}");
            assert_eq!(formed(&["text/markdown", name, "application/spdx+json"]).as_deref(), Ok("parts 1"), "{name}");
            assert_eq!(formed(&["application/octet-stream", name]).as_deref(), Ok("parts 1"), "{name}");
        }
        assert_eq!(formed(&["text/markdown", PROVIDER_LAYER]).as_deref(), Ok("parts 1"));
    }

    #[test]
    fn what_says_nothing_is_told_by_its_content_and_what_says_something_else_is_not() {
        assert_eq!(formed(&["application/octet-stream"]).as_deref(), Ok("one of 0"));
        assert_eq!(formed(&["application/octet-stream", "text/markdown", ""]).as_deref(), Ok("one of 02"));
        assert_eq!(formed(&["text/markdown"]), Err("unknown_layer"));
        assert_eq!(formed(&["application/vnd.oci.image.layer.v1.tar+gzip"]), Err("unknown_layer"));
    }

    #[test]
    fn what_older_tools_pushed_in_parts_is_put_together() {
        assert_eq!(formed(&[TAR]).as_deref(), Ok("parts 0"));
        assert_eq!(formed(&[TAR, TAR]).as_deref(), Ok("parts 01"));
        assert_eq!(formed(&[ACTOR_LAYER, TAR, ACTOR_LAYER]).as_deref(), Ok("parts 012"));
        assert_eq!(formed(&[PROVIDER_LAYER, TAR]).as_deref(), Ok("parts 01"));
        assert_eq!(formed(&[ACTOR_LAYER, PROVIDER_LAYER]), Err("ambiguous_layers"));
        assert_eq!(formed(&[ACTOR_LAYER, PROVIDER_LAYER, "text/plain"]), Err("ambiguous_layers"));
    }
}
