//! What a component may import: what is granted, and nothing of more.

use runtime::LoadError;

use crate::script::{Arg, Script, text};
use crate::support;
use crate::support::limits;

const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
const CONSUMER: &str = "wasmcloud:messaging/consumer@0.2.0";

/// Imports key-value in one version, messaging, configuration and the bus.
fn greedy() -> Script {
    let mut script = Script::new();
    script.call(STORE, "open", &[text("")]);
    script.call("wasi:config/store@0.2.0-rc.1", "get-all", &[]);
    let mut message = vec![text("subject"), text("body")];
    message.extend([Arg::I32(0), Arg::I32(0), Arg::I32(0)]);
    script.call(CONSUMER, "publish", &message);
    let slot = script.call("wasmcloud:bus/lattice", "[static]target-interface.wasi-keyvalue-atomic", &[]);
    script.drop("wasmcloud:bus/lattice", "target-interface", slot.at(0));
    script
}

#[tokio::test]
async fn what_claims_do_not_grant_is_refused_all_at_once_with_the_next_step() {
    let error = greedy().try_load(&[], limits()).await.err().unwrap();
    assert_eq!(error.code(), "not_granted");
    let imports = [(STORE, "wasmcloud:keyvalue"), (CONSUMER, "wasmcloud:messaging")];
    let imports = imports.map(|(name, contract)| (name.to_owned(), contract.to_owned())).to_vec();
    assert_eq!(error, LoadError::NotGranted { imports });
    let text = "imports that its signed claims do not grant: `wasi:keyvalue/store@0.2.0-draft` (`wasmcloud:keyvalue`), \
                `wasmcloud:messaging/consumer@0.2.0` (`wasmcloud:messaging`); sign it with `wash claims sign --cap \
                wasmcloud:keyvalue --cap wasmcloud:messaging`";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn each_grant_opens_its_own_interfaces_and_no_other() {
    let error = greedy().try_load(&["wasmcloud:keyvalue"], limits()).await.err().unwrap();
    let imports = vec![(CONSUMER.to_owned(), "wasmcloud:messaging".to_owned())];
    assert_eq!(error, LoadError::NotGranted { imports });
    greedy().try_load(&["wasmcloud:keyvalue", "wasmcloud:messaging"], limits()).await.unwrap();
}

#[tokio::test]
async fn an_interface_imported_for_its_types_alone_needs_no_grant() {
    // The handler's message is a type of `wasmcloud:messaging/types`, which is imported for it.
    let handler = Script::entered_by("wasmcloud:messaging/handler@0.2.0", "handle-message");
    handler.try_load(&[], limits()).await.unwrap();
}

#[tokio::test]
async fn a_function_that_an_interface_does_not_have_is_an_unknown_import() {
    let text = r#"(component
        (import "wasi:keyvalue/store@0.2.0-draft" (instance (export "close" (func (param "identifier" string)))))
        (import "wasmcloud:messaging/consumer" (instance (export "subscribe" (func (param "subject" string))))))"#;
    let error = support::try_load(text, limits()).await.err().unwrap();
    let names = ["wasi:keyvalue/store@0.2.0-draft.close", "wasmcloud:messaging/consumer.subscribe"];
    assert_eq!(error, LoadError::UnknownImports { names: names.map(str::to_owned).to_vec() });
}

#[tokio::test]
async fn a_version_that_nobody_wrote_is_an_unknown_import() {
    let text = r#"(component
        (import "wasi:keyvalue/atomics@0.2.0-draft3" (instance (export "increment" (func))))
        (import "wasi:config/store@0.1.0" (instance (export "get-all" (func)))))"#;
    let error = support::try_load(text, limits()).await.err().unwrap();
    let names = ["wasi:keyvalue/atomics@0.2.0-draft3", "wasi:config/store@0.1.0"];
    assert_eq!(error, LoadError::UnknownImports { names: names.map(str::to_owned).to_vec() });
}
