//! Guests that are a list of calls: a test says which imports its component calls with what, and gets back the bytes the
//! component says it saw.
//!
//! The WIT next to the guests gives the types; the core module is straight-line code that is put together here. Results
//! stay in memory at a [`Slot`], where later calls find them; [`Script::tell`] hands bytes out through
//! `wasmcloud:bus/host`, because that needs no grant.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use contracts::CallError;
use runtime::{Guest, GuestLimits, Identity, LoadError, OutboundCall, OutboundTarget};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{
    Function, Resolve,
    abi::{AbiVariant, WasmType},
};

/// In the order of their dependencies.
const WIT: [(&str, &str); 12] = [
    ("io.wit", include_str!("../guests/wit/io.wit")),
    ("http.wit", include_str!("../guests/wit/http.wit")),
    ("blobstore-0.1.0.wit", include_str!("../guests/wit/blobstore-0.1.0.wit")),
    ("blobstore-draft.wit", include_str!("../guests/wit/blobstore-draft.wit")),
    ("bus.wit", include_str!("../guests/wit/bus.wit")),
    ("keyvalue-0.1.0.wit", include_str!("../guests/wit/keyvalue-0.1.0.wit")),
    ("keyvalue-draft.wit", include_str!("../guests/wit/keyvalue-draft.wit")),
    ("keyvalue-draft2.wit", include_str!("../guests/wit/keyvalue-draft2.wit")),
    ("messaging.wit", include_str!("../guests/wit/messaging.wit")),
    ("messaging-0.2.0.wit", include_str!("../guests/wit/messaging-0.2.0.wit")),
    ("config-draft.wit", include_str!("../guests/wit/config-draft.wit")),
    ("config-rc.1.wit", include_str!("../guests/wit/config-rc.1.wit")),
];

const BUS_HOST: &str = "wasmcloud:bus/host";
pub const TOLD: &str = "Test.Told";

/// Where results and texts begin; below is what the entry point returns.
const FIRST: u32 = 1024;
/// Room for one result.
const RESULT: u32 = 128;

/// An argument, or a part of one, in the flat form of the canonical ABI.
#[derive(Clone)]
pub enum Arg {
    I32(u32),
    I64(u64),
    /// Text or bytes: two values.
    Bytes(Vec<u8>),
    /// What an earlier call left at an address.
    Load(u32),
    /// A parameter of the entry point.
    Parameter(u32),
}

pub fn text(text: &str) -> Arg {
    Arg::Bytes(text.as_bytes().to_vec())
}

/// Where the result of a call is.
#[derive(Clone, Copy)]
pub struct Slot(u32);

impl Slot {
    /// The value at an offset, as the ABI lays results out: a variant's number first, its payload at 4 or 8.
    pub fn at(self, offset: u32) -> Arg {
        Arg::Load(self.0 + offset)
    }

    fn address(self, offset: u32) -> u32 {
        self.0 + offset
    }
}

/// A component in the making.
pub struct Script {
    resolve: Resolve,
    imports: BTreeMap<(String, String), String>,
    entry: (&'static str, &'static str),
    code: String,
    data: Vec<u8>,
}

impl Script {
    /// Runs when the component gets a message.
    pub fn new() -> Self {
        Self::entered_by("wasmcloud:bus/guest", "call")
    }

    /// Runs when `function` of the exported `interface` is called, which returns a `result<_, string>` and gets ok.
    pub fn entered_by(interface: &'static str, function: &'static str) -> Self {
        let mut resolve = Resolve::default();
        for (name, contents) in WIT {
            resolve.push_str(name, contents).expect(name);
        }
        let entry = (interface, function);
        Self { resolve, imports: BTreeMap::new(), entry, code: String::new(), data: Vec::new() }
    }

    fn function(&self, interface: &str, name: &str) -> &Function {
        let mut interfaces = self.resolve.interfaces.iter();
        let found = interfaces.find(|(id, _)| self.resolve.id_of(*id).as_deref() == Some(interface));
        let (_, found) = found.unwrap_or_else(|| panic!("no interface {interface}"));
        found.functions.get(name).unwrap_or_else(|| panic!("no function {name} in {interface}"))
    }

    /// Calls a function of an imported interface.
    pub fn call(&mut self, interface: &str, name: &str, arguments: &[Arg]) -> Slot {
        let signature = self.resolve.wasm_signature(AbiVariant::GuestImport, self.function(interface, name));
        let slot = self.place(&[0; RESULT as usize]);
        let types: Vec<&str> = signature.params.iter().map(core_type).collect();
        let result = signature.results.first().map(core_type);
        let function = self.import(interface, name, &types, result);
        let mut flat: Vec<String> = arguments.iter().flat_map(|argument| self.flat(argument)).collect();
        if signature.retptr {
            flat.push(constant(slot));
        }
        assert_eq!(flat.len(), types.len(), "arguments of {name}, which are {types:?}");
        let call = format!("(call {function} {})", flat.join(" "));
        let line = match result {
            Some(ty) => format!("({ty}.store {} {call})", constant(slot)),
            None => call,
        };
        writeln!(self.code, "    {line}").expect("text");
        Slot(slot)
    }

    /// Drops a handle.
    pub fn drop(&mut self, interface: &str, resource: &str, handle: Arg) {
        let function = self.import(interface, &format!("[resource-drop]{resource}"), &["i32"], None);
        let handle = self.flat(&handle).join(" ");
        writeln!(self.code, "    (call {function} {handle})").expect("text");
    }

    /// Tells the test the bytes of a result.
    pub fn tell(&mut self, slot: Slot, offset: u32, len: u32) {
        self.tell_bytes(Arg::I32(slot.address(offset)), Arg::I32(len));
    }

    /// Tells the test a list of bytes or a string, whose pointer is at an offset of a result.
    pub fn tell_list(&mut self, slot: Slot, offset: u32) {
        self.tell_bytes(slot.at(offset), slot.at(offset + 4));
    }

    fn tell_bytes(&mut self, pointer: Arg, len: Arg) {
        let mut arguments = vec![Arg::I32(0); 5];
        arguments.extend([text(&format!("test:test/{TOLD}")), pointer, len]);
        self.call(BUS_HOST, "call-sync", &arguments);
    }

    /// Puts bytes into the memory of the guest; their address.
    pub fn place(&mut self, bytes: &[u8]) -> u32 {
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let address = FIRST + u32::try_from(self.data.len()).expect("small");
        self.data.extend_from_slice(bytes);
        address
    }

    /// A list of strings or of byte lists, in memory; two arguments.
    pub fn list(&mut self, items: &[&[u8]]) -> [Arg; 2] {
        let pairs = items.iter().flat_map(|item| [self.place(item), u32::try_from(item.len()).expect("small")]);
        let table: Vec<u8> = pairs.collect::<Vec<_>>().into_iter().flat_map(u32::to_le_bytes).collect();
        let address = self.place(&table);
        [Arg::I32(address), Arg::I32(u32::try_from(items.len()).expect("small"))]
    }

    /// Copies 32 bits of a result to an address.
    pub fn copy(&mut self, from: Arg, to: u32) {
        let from = self.flat(&from).join(" ");
        writeln!(self.code, "    (i32.store {} {from})", constant(to)).expect("text");
    }

    fn import(&mut self, interface: &str, name: &str, parameters: &[&str], result: Option<&str>) -> String {
        let function = format!("$f{}", self.imports.len());
        let key = (interface.to_owned(), name.to_owned());
        if let Some(known) = self.imports.get(&key) {
            return known.split(' ').next().expect("a name").to_owned();
        }
        let parameters = parameters.iter().map(|ty| format!("(param {ty})")).collect::<String>();
        let result = result.map(|ty| format!("(result {ty})")).unwrap_or_default();
        self.imports.insert(key, format!("{function} {parameters}{result}"));
        function
    }

    fn flat(&mut self, argument: &Arg) -> Vec<String> {
        match argument {
            Arg::I32(value) => vec![constant(*value)],
            Arg::I64(value) => vec![format!("(i64.const {value})")],
            Arg::Bytes(bytes) => {
                vec![constant(self.place(bytes)), constant(u32::try_from(bytes.len()).expect("small"))]
            }
            Arg::Load(address) => vec![format!("(i32.load {})", constant(*address))],
            Arg::Parameter(index) => vec![format!("(local.get {index})")],
        }
    }

    /// The component.
    pub fn wasm(mut self) -> Bytes {
        let (interface, function) = self.entry;
        let signature = self.resolve.wasm_signature(AbiVariant::GuestExport, self.function(interface, function));
        let parameters: String = signature.params.iter().map(|ty| format!("(param {})", core_type(ty))).collect();
        // What is returned is ok, where anything is.
        let (result, value) = if signature.results.is_empty() { ("", "") } else { ("(result i32)", "(i32.const 0)") };
        let mut imports = String::new();
        let mut world = format!("package test:test;\nworld guest {{\n  export {interface};\n");
        let mut last = "";
        for ((interface, name), function) in &self.imports {
            writeln!(imports, r#"  (import "{interface}" "{name}" (func {function}))"#).expect("text");
            if interface != last {
                writeln!(world, "  import {interface};").expect("text");
            }
            last = interface;
        }
        world.push_str("}\n");
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let module = format!(
            r#"(module
{imports}  (memory (export "memory") 32)
  (data (i32.const {FIRST}) "{data}")
  (global $free (mut i32) (i32.const 1048576))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "{interface}#{function}") {parameters} {result}
{code}    {value}))"#,
            code = self.code,
        );
        let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
        let package = self.resolve.push_str("test.wit", &world).expect("valid WIT");
        let world = self.resolve.select_world(&[package], Some("guest")).expect("the world");
        embed_component_metadata(&mut module, &self.resolve, world, StringEncoding::UTF8).expect("encodes");
        let mut encoder = ComponentEncoder::default().validate(true).module(&module).expect("a module for the world");
        encoder.encode().expect("a component").into()
    }

    /// Loads it with these contracts granted.
    pub async fn try_load(self, grants: &[&str], limits: GuestLimits) -> Result<Guest, LoadError> {
        let grants = grants.iter().map(|contract| (*contract).to_owned()).collect();
        let identity = Identity { grants, ..crate::support::identity() };
        crate::support::runtime().load(self.wasm(), identity, limits).await
    }

    /// Runs it once, with key-value and messaging granted, and `answer` for all calls out; what it told.
    pub async fn run(
        self,
        answer: impl Fn(OutboundCall) -> Result<Bytes, CallError> + Send + Sync + 'static,
    ) -> Result<Vec<Bytes>, CallError> {
        let grants = ["wasmcloud:keyvalue", "wasmcloud:messaging"];
        let guest = self.try_load(&grants, crate::support::limits()).await.expect("loads");
        call_once(&guest, "Test.Run", Bytes::new(), answer).await
    }
}

/// Calls a guest made from a script; what it told.
pub async fn call_once(
    guest: &Guest,
    operation: &str,
    payload: Bytes,
    answer: impl Fn(OutboundCall) -> Result<Bytes, CallError> + Send + Sync + 'static,
) -> Result<Vec<Bytes>, CallError> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let context = crate::support::answering({
        let told = told.clone();
        move |call| {
            if call.operation == TOLD {
                told.lock().expect("no panic").push(call.payload);
                return Ok(Bytes::new());
            }
            answer(call)
        }
    });
    guest.call(operation, payload, context).await?;
    let told = std::mem::take(&mut *told.lock().expect("no panic"));
    Ok(told)
}

/// The link a call goes over.
pub fn link(contract: &str, link_name: &str) -> OutboundTarget {
    OutboundTarget::Link { contract: contract.to_owned(), link_name: link_name.to_owned() }
}

fn constant(value: u32) -> String {
    format!("(i32.const {})", value.cast_signed())
}

fn core_type(ty: &WasmType) -> &'static str {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    }
}
