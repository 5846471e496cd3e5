//! Values of a link to an HTTP server: what is read, and what is refused with which words.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use contracts::{Values, httpserver::HttpServerLink};
use data_encoding::{BASE64, BASE64_NOPAD};

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn parse(pairs: &[(&str, &str)]) -> HttpServerLink {
    HttpServerLink::parse(&values(pairs)).unwrap()
}

/// Values, the key that is named, and words of the reason.
type Refusal<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

/// Each case is refused, names the key as it was written, and says the words.
fn refused(cases: &[Refusal<'_>]) {
    for (pairs, key, words) in cases {
        let error = HttpServerLink::parse(&values(pairs)).expect_err(&format!("{pairs:?}"));
        assert_eq!(error.key, *key, "{error}");
        assert!(error.reason.contains(words), "`{words}` is not in `{error}`");
    }
}

#[test]
fn no_values_mean_the_defaults_of_the_protocol() {
    let link = parse(&[]);
    assert_eq!(link, HttpServerLink::default());
    assert_eq!(link.address, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(link.timeout, None);
}

#[test]
fn an_address_or_a_port_says_where_to_listen() {
    assert_eq!(parse(&[("address", "0.0.0.0:9000")]).address, "0.0.0.0:9000".parse().unwrap());
    assert_eq!(parse(&[("address", "[::1]:9000")]).address, "[::1]:9000".parse().unwrap());
    assert_eq!(parse(&[("PORT", "9001")]).address, "127.0.0.1:9001".parse().unwrap());
    assert_eq!(parse(&[("port", "9000"), ("address", "10.0.0.1:9000")]).address, "10.0.0.1:9000".parse().unwrap());
}

#[test]
fn an_unusable_address_or_port_is_refused() {
    refused(&[
        (&[("address", "nonsense")], "address", "`nonsense` is not an address"),
        (&[("address", "localhost:80")], "address", "`127.0.0.1:8000`"),
        (&[("address", "127.0.0.1:0")], "address", "1 to 65535"),
        (&[("port", "http")], "port", "`http` is not a whole number"),
        (&[("Port", "0")], "Port", "1 to 65535"),
        (&[("port", "70000")], "port", "1 to 65535"),
        (&[("port", "-1")], "port", "not a whole number"),
        (&[("port", "1"), ("address", "127.0.0.1:2")], "port", "contradicts `address`"),
    ]);
}

#[test]
fn every_setting_can_be_given_flat_in_any_case() {
    let link = parse(&[
        ("Address", "127.0.0.1:9000"),
        ("HOST", "API.Example.org"),
        ("Path", "/v1/things/"),
        ("timeout_MS", "1500"),
        ("idle_ms", "90000"),
        ("drain_ms", "0"),
        ("max_content_len", "4096"),
        ("readonly_mode", "True"),
        ("cache_control", "max-age=60"),
        ("log", "debug"),
    ]);
    assert_eq!(
        link,
        HttpServerLink {
            address: "127.0.0.1:9000".parse().unwrap(),
            host: Some("api.example.org".to_owned()),
            path: Some("/v1/things".to_owned()),
            timeout: Some(Duration::from_millis(1500)),
            idle: Some(Duration::from_secs(90)),
            drain: Some(Duration::ZERO),
            max_content_len: 4096,
            readonly: true,
            cache_control: Some("max-age=60".to_owned()),
            ignored: Vec::new(),
        }
    );
}

#[test]
fn the_same_settings_can_be_given_as_json_plain_or_in_base64() {
    let json = r#"{"address":"127.0.0.1:9000","timeout_ms":1500,"readonly_mode":true,"cache_control":null,
        "log":{"level":"info"},"tls":{"cert_file":"","priv_key_file":null},"cors":{},"max_content_len":7}"#;
    let expected = HttpServerLink {
        address: "127.0.0.1:9000".parse().unwrap(),
        timeout: Some(Duration::from_millis(1500)),
        readonly: true,
        max_content_len: 7,
        ..HttpServerLink::default()
    };
    assert_eq!(parse(&[("config_json", json)]), expected);
    assert_eq!(parse(&[("config_b64", &BASE64_NOPAD.encode(json.as_bytes()))]), expected);
    assert_eq!(parse(&[("Config_B64", &BASE64.encode(json.as_bytes()))]), expected);
}

#[test]
fn a_flat_value_wins_over_the_json() {
    let link = parse(&[("config_json", r#"{"timeout_ms":1,"max_content_len":2}"#), ("timeout_ms", "3")]);
    assert_eq!((link.timeout, link.max_content_len), (Some(Duration::from_millis(3)), 2));
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_never_ignored() {
    let tls = r#"{"tls":{"cert_file":"/a.pem","priv_key_file":"/b.pem"}}"#;
    refused(&[
        (&[("config_json", tls)], "config_json.tls", "TLS is not supported"),
        (&[("tls", "on")], "tls", "TLS is not supported"),
        (
            &[("config_json", r#"{"cors":{"allowed_origins":["https://a"]}}"#)],
            "config_json.cors",
            "CORS is not supported",
        ),
        (&[("config_file", "/etc/httpserver.json")], "config_file", "`config_json`"),
    ]);
}

#[test]
fn an_unknown_key_has_no_effect_and_is_named() {
    let link = parse(&[("Adress", "127.0.0.1:1"), ("config_json", r#"{"prot":1}"#), ("port", "9001")]);
    assert_eq!(link.ignored, ["Adress", "config_json.prot"]);
    assert_eq!(link.address, "127.0.0.1:9001".parse().unwrap());
}

#[test]
fn sizes_and_yes_or_no_are_read_as_links_of_0_82_write_them() {
    for (text, bytes) in [("20M", 20 << 20), ("20MiB", 20 << 20), ("4 kb", 4096), ("1G", 1 << 30), ("7", 7)] {
        assert_eq!(parse(&[("max_content_len", text)]).max_content_len, bytes, "{text}");
    }
    let json = r#"{"max_content_len":"20M","readonly_mode":"yes"}"#;
    let link = parse(&[("config_json", json)]);
    assert_eq!((link.max_content_len, link.readonly), (20 << 20, true));
    assert!(!parse(&[("readonly_mode", "off")]).readonly);
    refused(&[
        (&[("max_content_len", "20T")], "max_content_len", "`20T` is not a size"),
        (&[("max_content_len", "99999999999G")], "max_content_len", "not a size"),
    ]);
}

#[test]
fn json_that_cannot_be_read_is_refused() {
    refused(&[
        (&[("config_json", "{")], "config_json", "not a JSON object"),
        (&[("config_json", "[1]")], "config_json", "not a JSON object"),
        (&[("config_b64", "%%")], "config_b64", "not base64"),
        (&[("config_b64", "e30"), ("config_json", "{}")], "config_json", "give either"),
        (&[("config_json", r#"{"timeout_ms":"soon"}"#)], "config_json.timeout_ms", "`soon` is not a whole number"),
        (&[("config_json", r#"{"address":7}"#)], "config_json.address", "`7` is not text"),
    ]);
}

#[test]
fn values_out_of_range_are_refused() {
    refused(&[
        (&[("timeout_ms", "0")], "timeout_ms", "1 to 86400000"),
        (&[("timeout_ms", "86400001")], "timeout_ms", "1 to 86400000"),
        (&[("idle_ms", "0")], "idle_ms", "1 to 86400000"),
        (&[("drain_ms", "86400001")], "drain_ms", "0 to 86400000"),
        (&[("max_content_len", "1e3")], "max_content_len", "`1e3` is not a size"),
        (&[("readonly_mode", "maybe")], "readonly_mode", "neither `true` nor `false`"),
        (&[("cache_control", "a\r\nset-cookie: b")], "cache_control", "`cache-control` header"),
        (&[("host", "a:80")], "host", "not a host name"),
        (&[("host", "*.example.org")], "host", "wildcards"),
        (&[("path", "api")], "path", "not a path"),
        (&[("path", "/a/../b")], "path", "not a path"),
        (&[("path", "/a//b")], "path", "not a path"),
        (&[("path", "/a?b")], "path", "not a path"),
        (&[("port", "1"), ("Port", "2")], "port", "given twice, the other time as `Port`"),
    ]);
}

#[test]
fn the_root_path_means_every_path() {
    assert_eq!(parse(&[("path", "/")]).path, None);
    assert_eq!(parse(&[("host", "[::1]")]).host.as_deref(), Some("[::1]"));
}
