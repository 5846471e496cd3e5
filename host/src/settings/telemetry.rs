//! Settings on traces, with the names that OpenTelemetry gives them (protocol section 8.1).

use clap::Args;
use telemetry::{TracingConfig, headers};

use super::Problems;

/// Where receivers listen unless somebody says otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:4318";

/// Traces, as flags and environment variables.
#[derive(Debug, Clone, Default, Args)]
pub struct TelemetryArgs {
    /// Export traces: `otlp`, or `none`. Default: `otlp` when there is an endpoint.
    #[arg(long, env = "OTEL_TRACES_EXPORTER", value_name = "EXPORTER")]
    pub otel_traces_exporter: Option<String>,
    /// Base URL of an OTLP/HTTP receiver; `/v1/traces` is added. Default: `http://127.0.0.1:4318`.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// Headers for the receiver, such as its token: `name=value,name=value`, with percent-encoded values.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true, value_name = "HEADERS")]
    pub otel_exporter_otlp_headers: Option<String>,
    /// Share of the traces that begin here which are recorded, from 0 to 1. Callers decide about theirs. Default: 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO")]
    pub otel_traces_sampler_arg: Option<String>,
}

impl TelemetryArgs {
    /// Checks them; none means that nothing is traced.
    pub(super) fn into_config(self, problems: &mut Problems) -> Option<TracingConfig> {
        let set = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let endpoint = set(self.otel_exporter_otlp_endpoint);
        match set(self.otel_traces_exporter).as_deref() {
            Some("none") => return None,
            Some("otlp") => {}
            None if endpoint.is_some() => {}
            None => return None,
            Some(other) => {
                problems.add(&format!("--otel-traces-exporter: `{other}` is neither `otlp` nor `none`"));
                return None;
            }
        }
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let is_http = endpoint.parse::<http::Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        if endpoint.contains('@') {
            problems.add("--otel-exporter-otlp-endpoint: credentials do not belong into the URL");
        } else if !is_http {
            problems.add(&format!("--otel-exporter-otlp-endpoint: `{endpoint}` is no `http://` or `https://` URL"));
        }
        let share = set(self.otel_traces_sampler_arg).unwrap_or_else(|| "1".to_owned());
        let ratio = share.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            problems.add(&format!("--otel-traces-sampler-arg: `{share}` is not a number from 0 to 1"));
        }
        let headers = headers::parse(&self.otel_exporter_otlp_headers.unwrap_or_default()).unwrap_or_else(|error| {
            let entry = error.entry;
            problems.add(&format!("--otel-exporter-otlp-headers: entry {entry} is no `name=value` of a header"));
            Default::default()
        });
        Some(TracingConfig { endpoint, headers, ratio: ratio.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(exporter: Option<&str>, endpoint: Option<&str>, ratio: &str) -> (Option<TracingConfig>, Vec<String>) {
        let mut problems = Problems(Vec::new());
        let args = TelemetryArgs {
            otel_traces_exporter: exporter.map(str::to_owned),
            otel_exporter_otlp_endpoint: endpoint.map(str::to_owned),
            otel_exporter_otlp_headers: None,
            otel_traces_sampler_arg: Some(ratio.to_owned()),
        };
        (args.into_config(&mut problems), problems.0)
    }

    #[test]
    fn traces_are_exported_only_when_somebody_asked() {
        let on = |endpoint: &str| {
            Some(TracingConfig { endpoint: endpoint.to_owned(), headers: http::HeaderMap::new(), ratio: 1.0 })
        };
        for (exporter, endpoint, expected) in [
            (None, None, None),
            (Some(""), Some(""), None), // what hosts of the protocol give their providers
            (Some("none"), Some("http://x:1"), None),
            (Some("otlp"), None, on(DEFAULT_ENDPOINT)),
            (None, Some("http://x:1/base"), on("http://x:1/base")),
        ] {
            assert_eq!(config(exporter, endpoint, ""), (expected, Vec::new()), "{exporter:?} {endpoint:?}");
        }
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let read = |headers: &str| {
            let mut problems = Problems(Vec::new());
            let args = TelemetryArgs {
                otel_exporter_otlp_endpoint: Some("http://x:1".to_owned()),
                otel_exporter_otlp_headers: Some(headers.to_owned()),
                ..Default::default()
            };
            (args.into_config(&mut problems).expect("traced"), problems.0.join(""))
        };
        let (config, problems) = read("authorization=Basic%20c2VjcmV0, x-tenant = a=b ,");
        assert_eq!(config.headers["authorization"], "Basic c2VjcmV0");
        assert_eq!(config.headers["x-tenant"], "a=b");
        assert_eq!(problems, "");
        let (_, problems) = read("a=b,c2VjcmV0");
        assert!(problems.contains("entry 2") && !problems.contains("c2VjcmV0"), "{problems}");
    }

    #[test]
    fn every_problem_is_named() {
        assert_eq!(config(Some("zipkin"), None, "1").1.len(), 1);
        let problems = config(Some("otlp"), Some("collector:4318"), "2").1;
        assert_eq!(problems.len(), 2);
        assert!(problems[0].contains("`collector:4318`") && problems[1].contains("`2`"), "{problems:?}");
        assert_eq!(config(None, Some("http://user:pass@x:1"), "1").1.len(), 1);
        assert_eq!(config(None, Some("http://x:1"), "NaN").1.len(), 1);
        assert_eq!(config(None, Some("http://x:1"), "0.25").0.map(|config| config.ratio), Some(0.25));
        assert_eq!(config(None, None, "endpoint=x"), (None, Vec::new()), "nobody asked for traces");
    }
}
