//! `wash par` as a user meets it.

use crate::support::Wash;
use serde_json::json;

#[test]
fn an_archive_is_made_extended_and_shown() {
    let wash = Wash::new();
    wash.write("kv", "#!/bin/sh\n");
    insta::assert_snapshot!(wash.run("par create -c wasmcloud:keyvalue -v Acme -n AcmeKV -b kv -r 3 --version 1.0.0"), @r"
    exit: 0
    stdout:
    Wrote AcmeKV.par
      provider  [V] (AcmeKV)
      issuer    [A]
      targets   x86_64-linux
    stderr:
    no account key yet: made `[A]` in [DIR]/wash/keys/ada_account.nk
    no provider key yet: made `[V]` in [DIR]/wash/keys/AcmeKV_service.nk
    ");
    assert_eq!(wash.json("par insert AcmeKV.par -a aarch64-linux -b kv")["file"], json!("AcmeKV.par"));
    insta::assert_snapshot!(wash.run("par inspect AcmeKV.par"), @r"
    exit: 0
    stdout:
    AcmeKV, a provider
      provider  [V]
      issuer    [A]
      contract  wasmcloud:keyvalue
      vendor    Acme
      version   1.0.0, revision 3
      targets   aarch64-linux, x86_64-linux
      expires   never
      usable    immediately
    ");
    let shown = wash.json("inspect AcmeKV.par");
    assert_eq!((&shown["capability_contract_id"], &shown["revision"]), (&json!("wasmcloud:keyvalue"), &json!("3")));
}

#[test]
fn a_compressed_archive_says_its_real_name() {
    let wash = Wash::new();
    wash.write("kv", "#!/bin/sh\n");
    let made = wash.json("par create -c acme:kv -v Acme -n kv -b kv --compress --destination out.par");
    assert_eq!(made["file"], json!("out.par.gz"));
    let shown = wash.json("par inspect out.par.gz");
    assert_eq!(shown["targets"], json!(["x86_64-linux"]));
    assert_eq!((&shown["version"], &shown["revision"]), (&json!("0.1.0"), &json!("0")), "the defaults");
    for member in ["name", "issuer", "service", "capability_contract_id", "vendor"] {
        assert!(!shown[member].is_null(), "no `{member}`: {shown}");
    }
}

#[test]
fn a_damaged_archive_is_refused() {
    let wash = Wash::new();
    wash.write("kv", "#!/bin/sh\n# the binary of the provider\n");
    wash.json("par create -c acme:kv -v Acme -n kv -b kv");
    let archive = std::fs::read(wash.path("kv.par")).expect("the archive");
    let at = archive.windows(6).position(|bytes| bytes == b"binary").expect("the binary is in there");
    let mut damaged = archive;
    damaged[at] = b'B';
    wash.write("kv.par", damaged);
    let (code, failure) = wash.json_failure("par inspect kv.par");
    assert_eq!(code, Some(1));
    assert!(
        failure["error_chain"][0].as_str().is_some_and(|cause| cause.contains("changed after signing")),
        "{failure}"
    );
}

#[test]
fn a_schema_that_is_no_json_is_named_before_a_key_is_made() {
    let wash = Wash::new();
    wash.write("kv", "#!/bin/sh\n");
    wash.write("schema.json", "{");
    let (_, failure) = wash.json_failure("par create -c acme:kv -v Acme -n kv -b kv -j schema.json");
    assert_eq!(failure["error"], json!("the schema `schema.json` is no JSON"));
    assert!(!wash.path("wash").exists());
}

#[test]
fn what_no_machine_runs_becomes_no_provider() {
    let wash = Wash::new();
    wash.write("README.md", "# Provider\n\nWhat it does.\n");
    insta::assert_snapshot!(wash.run("par create -c acme:kv -v Acme -n kv -b README.md"), @r"
    exit: 1
    stderr:
    error: `README.md` is no provider binary for `x86_64-linux`
      caused by: it is a text file
      hint: give the executable of the provider, or a script that begins with `#!`
    ");
    let mut elf = b"\x7FELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    (elf[16], elf[18], elf[24]) = (2, 62, 1);
    wash.write("kv", &elf);
    let (code, failure) = wash.json_failure("par create -c acme:kv -v Acme -n kv -b kv -a aarch64-linux");
    assert_eq!(
        (code, &failure["hint"]),
        (Some(1), &json!("name its target with `--arch x86_64-linux`, or give another file"))
    );
    assert!(!wash.path("wash").exists(), "no key is made for what is refused");
    wash.json("par create -c acme:kv -v Acme -n kv -b kv");
    let (_, failure) = wash.json_failure("par insert README.md -a aarch64-linux -b kv");
    assert_eq!(failure["error"], json!("`README.md` is a text file, not a provider archive"));
}

#[test]
fn the_schema_of_link_values_is_shown() {
    let wash = Wash::new();
    wash.write("kv", "#!/bin/sh\n");
    wash.write("schema.json", r#"{"type": "object"}"#);
    wash.json("par create -c acme:kv -v Acme -n kv -b kv -j schema.json");
    wash.json("par create -c acme:kv -v Acme -n kv -b kv --destination plain.par");
    for inspect in ["par inspect", "inspect", "claims inspect"] {
        assert_eq!(wash.json(&format!("{inspect} kv.par"))["schema"], json!({"type": "object"}), "{inspect}");
        let plain = wash.json(&format!("{inspect} plain.par"));
        assert!(plain.as_object().is_some_and(|shown| shown.contains_key("schema")) && plain["schema"].is_null());
    }
}
