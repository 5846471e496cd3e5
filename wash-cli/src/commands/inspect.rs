//! `wash inspect`: what an artifact claims, and whether it is true.
//!
//! Shows claims also when they do not hold; a host would refuse such an artifact, and the text says why.

use std::{fs, path::PathBuf};

use claims::{ActorMetadata, Claims, Inspection, ProviderMetadata, archive, capability_name, wasm};
use clap::Args;

use crate::{
    context::Context,
    failure::{Failure, OrFail, Result},
    output::Output,
    signing::now,
};

const WASM_MAGIC: &[u8] = b"\0asm";

/// Options of `wash inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Signed actor (`.wasm`) or provider archive (`.par`, `.par.gz`)
    target: PathBuf,
    /// Print the token as it is
    #[arg(long)]
    jwt_only: bool,
}

/// Runs `wash inspect`.
///
/// # Errors
/// The file cannot be read, is neither of the two, or carries no claims.
pub fn run(args: &InspectArgs, _context: &Context) -> Result<Output> {
    let shown = args.target.display();
    let bytes = fs::read(&args.target)
        .while_doing(|| format!("cannot read `{shown}`"))
        .hint(|| "give the path of a file; artifacts of registries cannot be inspected yet".to_owned())?;
    if bytes.starts_with(WASM_MAGIC) {
        return inspect_actor(args, &bytes);
    }
    let archive =
        archive::read(&bytes).while_doing(|| format!("cannot read `{shown}` as an actor or a provider archive"))?;
    if args.jwt_only {
        return Ok(Output::text(archive.token.clone()).with("token", archive.token));
    }
    let inspection = Claims::<ProviderMetadata>::inspect(&archive.token, now())?;
    Ok(show_provider(inspection, archive.targets.keys().cloned().collect()))
}

fn inspect_actor(args: &InspectArgs, bytes: &[u8]) -> Result<Output> {
    let shown = args.target.display();
    let token = wasm::extract(bytes).while_doing(|| format!("cannot read `{shown}`"))?.ok_or_else(|| {
        Failure::new(format!("`{shown}` is not signed"))
            .hint(format!("sign it with `wash claims sign {shown} --name NAME`"))
    })?;
    if args.jwt_only {
        return Ok(Output::text(token.clone()).with("token", token));
    }
    let inspection = Claims::<ActorMetadata>::inspect(&token, now())
        .while_doing(|| format!("the claims of `{shown}` cannot be read"))?;
    let hash = wasm::canonical_hash(bytes).while_doing(|| format!("cannot read `{shown}`"))?;
    Ok(show_actor(inspection, &hash))
}

fn show_actor(inspection: Inspection<ActorMetadata>, hash: &str) -> Output {
    let problems = problems(&inspection);
    let claims = inspection.claims;
    let metadata = claims.metadata.unwrap_or_default();
    let unchanged = claims.wascap_revision.unwrap_or(0) < claims::REVISION || metadata.hash == hash;
    let problems = problems.into_iter().chain((!unchanged).then_some("the file was changed after it was signed"));
    let name = metadata.name.unwrap_or_else(|| "(not set)".to_owned());
    let alias = metadata.call_alias.filter(|alias| !alias.is_empty());
    let contracts = metadata.caps.unwrap_or_default();
    let capabilities: Vec<&str> = contracts.iter().map(|id| capability_name(id)).collect();
    let tags = metadata.tags.filter(|tags| !tags.is_empty()).map_or_else(|| "None".to_owned(), |tags| tags.join(","));
    let version = metadata.ver.unwrap_or_else(|| "None".to_owned());
    let revision = metadata.rev.unwrap_or(0);
    let issuer = claims.issuer.to_string();
    let text = block(
        &format!("{name}, an actor"),
        &[
            ("actor", claims.subject.clone()),
            ("issuer", issuer.clone()),
            ("version", format!("{version}, revision {revision}")),
            ("grants", if contracts.is_empty() { "nothing".to_owned() } else { contracts.join(", ") }),
            ("call alias", alias.clone().unwrap_or_else(|| "none".to_owned())),
            ("tags", tags.clone()),
            ("expires", inspection.expires_human.clone()),
            ("usable", inspection.not_before_human.clone()),
        ],
        problems,
    );
    Output::text(text)
        .with("account", issuer)
        .with("module", claims.subject.clone())
        .with("actor", claims.subject)
        .with("expires", inspection.expires_human)
        .with("can_be_used", inspection.not_before_human)
        .with("version", version)
        .with("revision", revision)
        .with("capabilities", capabilities)
        .with("tags", tags)
        .with("call_alias", alias.unwrap_or_else(|| "(Not set)".to_owned()))
        .with("name", name)
}

fn show_provider(inspection: Inspection<ProviderMetadata>, targets: Vec<String>) -> Output {
    let problems = problems(&inspection);
    let claims = inspection.claims;
    let metadata = claims.metadata.unwrap_or_default();
    let name = metadata.name.unwrap_or_else(|| "(not set)".to_owned());
    let version = metadata.ver.unwrap_or_else(|| "None".to_owned());
    let revision = metadata.rev.map_or_else(|| "None".to_owned(), |revision| revision.to_string());
    let issuer = claims.issuer.to_string();
    let text = block(
        &format!("{name}, a provider"),
        &[
            ("provider", claims.subject.clone()),
            ("issuer", issuer.clone()),
            ("contract", metadata.capid.clone()),
            ("vendor", metadata.vendor.clone()),
            ("version", format!("{version}, revision {revision}")),
            ("targets", targets.join(", ")),
            ("expires", inspection.expires_human),
            ("usable", inspection.not_before_human),
        ],
        problems,
    );
    Output::text(text)
        .with("name", name)
        .with("issuer", issuer)
        .with("service", claims.subject)
        .with("capability_contract_id", metadata.capid)
        .with("vendor", metadata.vendor)
        .with("version", version)
        .with("revision", revision)
        .with("targets", targets)
}

fn problems<M>(inspection: &Inspection<M>) -> Vec<&'static str> {
    let verdicts = [
        (!inspection.signature_valid, "the signature does not match"),
        (inspection.expired, "it has expired"),
        (inspection.not_yet_valid, "it is not valid yet"),
    ];
    verdicts.into_iter().filter(|(bad, _)| *bad).map(|(_, problem)| problem).collect()
}

fn block(title: &str, rows: &[(&str, String)], problems: impl IntoIterator<Item = &'static str>) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines = vec![title.to_owned()];
    lines.extend(rows.iter().map(|(name, value)| format!("  {name:width$}  {value}")));
    lines.extend(problems.into_iter().map(|problem| format!("  hosts refuse it: {problem}")));
    lines.join("\n")
}
