//! Claims of an artifact, as people and programs read them (member names: protocol section 9.2).

use claims::{ActorMetadata, Inspection, ProviderMetadata, capability_name};

use crate::terminal::output::Output;

pub(super) fn actor(inspection: Inspection<ActorMetadata>, hash: &str) -> Output {
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

pub(super) fn provider(inspection: Inspection<ProviderMetadata>, targets: Vec<String>) -> Output {
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
        .with("schema", metadata.config_schema.unwrap_or_default())
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
