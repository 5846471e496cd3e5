//! `wash push`: a file into a registry.
//!
//! The file says by its content what it is; what no host would look at is refused before anybody is asked.

use std::path::{Path, PathBuf};

use artifacts::{ArtifactKind, FetchError, PushContent};
use clap::Args;

use crate::{
    arguments::pairs,
    artifacts::registry::RegistryArgs,
    context::Context,
    machine::given_file,
    terminal::{
        failure::{Failure, OrFail, Result},
        output::{Output, size},
    },
};

/// Options of `wash push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Where it goes: `registry/repository:tag`
    #[arg(value_name = "REFERENCE")]
    url: String,
    /// Signed actor (`.wasm`) or provider archive (`.par`, `.par.gz`)
    artifact: PathBuf,
    /// File that becomes the artifact's configuration [default: an empty JSON object]
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Note on the manifest; repeatable
    #[arg(short = 'a', long = "annotation", alias = "annotations", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    annotations: Vec<(String, String)>,
    /// Push an actor as a container image that holds nothing but the wasm file
    #[arg(long, conflicts_with_all = ["wasm", "config"])]
    image: bool,
    /// Push an actor as a plain `application/wasm` artifact
    #[arg(long)]
    wasm: bool,
    /// Push under the tag `latest`, or without a tag
    #[arg(long)]
    allow_latest: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Runs `wash push`.
///
/// # Errors
/// The file is no artifact of ours, or the registry does not take it.
pub async fn run(args: &PushArgs, context: &Context) -> Result<Output> {
    let reference = args.registry.reference(&args.url)?;
    if reference.is_latest() && !args.allow_latest {
        return Err(FetchError::Latest { reference: reference.to_string() }.into());
    }
    let shown = args.artifact.display();
    let bytes = given_file::read_artifact(&args.artifact)?;
    let length = bytes.len();
    let content = content(args, bytes)?;
    let progress = context.printer.progress();
    let pushed = args.registry.client(reference.registry())?.push(&reference, &content, &*progress).await;
    drop(progress);
    let pushed = pushed.while_doing(|| format!("cannot push `{shown}` to `{}`", args.url))?;
    let text = format!("Pushed {reference} ({})\n  manifest  {}", size(length as u64), pushed.digest);
    Ok(Output::text(text).with("url", reference.to_string()).with("digest", pushed.digest.to_string()))
}

fn content(args: &PushArgs, bytes: Vec<u8>) -> Result<PushContent> {
    let shown = args.artifact.display();
    let kind =
        ArtifactKind::recognize(&bytes).while_doing(|| format!("no host would run `{shown}`, so it is not pushed"))?;
    if kind == ArtifactKind::Provider && (args.image || args.wasm) {
        return Err(Failure::usage(format!("`{shown}` is a provider archive; only an actor can be pushed like this"))
            .hint("leave out `--image` and `--wasm`"));
    }
    let mut content = match kind {
        ArtifactKind::Provider => PushContent::provider(bytes),
        _ if args.image => PushContent::image(&bytes, &file_name(&args.artifact)),
        _ if args.wasm => PushContent::wasm(bytes),
        _ => PushContent::actor(bytes),
    };
    if let Some(path) = &args.config {
        content = content.with_config(given_file::read(path, given_file::MAX_TEXT)?);
    }
    for (key, value) in pairs::to_map(&args.annotations)? {
        content = content.annotate(key, value);
    }
    Ok(content)
}

/// What the file is called inside an image. Readers know it by its ending.
fn file_name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| !stem.is_empty()).unwrap_or("actor");
    format!("{stem}.wasm")
}
