//! Spans of a provider process: sent where its host sends its own, as the host data says.

use lattice::{HostData, OtelConfig};
use telemetry::{Resource, TracingConfig, headers};

use crate::Builtin;

/// The only exporter there is.
const OTLP: &str = "otlp";

/// Where spans go; none when the host has no receiver.
///
/// # Errors
/// What the host data says cannot be used, as a sentence without secrets.
pub fn settings(otel: &OtelConfig) -> Result<Option<TracingConfig>, String> {
    let endpoint = otel.exporter_otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let (Some(OTLP), Some(endpoint)) = (otel.traces_exporter.as_deref(), endpoint) else { return Ok(None) };
    let list = otel.exporter_otlp_headers.as_ref().map_or("", |headers| headers.expose());
    let headers = headers::parse(list)
        .map_err(|error| format!("entry {} of the headers for the receiver of traces is none", error.entry))?;
    let share = otel.traces_sampler_arg.as_deref().unwrap_or("1");
    let ratio = share.parse().map_err(|_| format!("`{share}`, the share of traces to record, is no number"))?;
    Ok(Some(TracingConfig { endpoint: endpoint.to_owned(), headers, ratio }))
}

/// How spans say where they come from.
pub fn resource(builtin: &Builtin, host_data: &HostData) -> Resource {
    Resource(vec![
        ("service.name", format!("wasmcloud-{}", builtin.descriptor.name)),
        ("service.instance.id", host_data.instance_id.clone()),
        ("lattice.provider", host_data.provider_key.to_string()),
        ("lattice.host", host_data.host_id.to_string()),
        ("lattice.id", host_data.lattice.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use lattice::Secret;

    use super::*;

    fn otlp(endpoint: &str) -> OtelConfig {
        OtelConfig {
            traces_exporter: Some(OTLP.to_owned()),
            exporter_otlp_endpoint: Some(endpoint.to_owned()),
            ..OtelConfig::default()
        }
    }

    #[test]
    fn a_host_without_a_receiver_has_providers_without_spans() {
        assert_eq!(settings(&OtelConfig::default()), Ok(None));
        assert_eq!(settings(&otlp("")), Ok(None));
        assert_eq!(settings(&OtelConfig { traces_exporter: None, ..otlp("http://x:1") }), Ok(None));
    }

    #[test]
    fn a_host_that_says_only_what_the_protocol_has_is_enough() {
        let settings = settings(&otlp("http://x:1")).expect("usable").expect("traced");
        assert_eq!((settings.endpoint.as_str(), settings.headers.len(), settings.ratio), ("http://x:1", 0, 1.0));
    }

    #[test]
    fn headers_and_share_are_those_of_the_host_and_mistakes_tell_no_secret() {
        let with = |headers: &str, share: &str| OtelConfig {
            exporter_otlp_headers: Some(Secret::new(headers)),
            traces_sampler_arg: Some(share.to_owned()),
            ..otlp("http://x:1")
        };
        let read = settings(&with("authorization=s%20t", "0.25")).expect("usable").expect("traced");
        assert_eq!((read.headers["authorization"].to_str().expect("text"), read.ratio), ("s t", 0.25));
        for (headers, share, expected) in [("s3cret", "1", "entry 1"), ("", "half", "`half`")] {
            let error = settings(&with(headers, share)).expect_err("a mistake");
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }
}
