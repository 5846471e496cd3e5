//! Rewritten modules do what they did before.

use wasmtime::{Engine, Extern, Instance, Memory, Store, TypedFunc};

use super::*;

/// A module that hands `memory.grow` and `memory.size` on.
fn growing(memory: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {memory}
            (global $unused (mut i32) (i32.const 7))
            (data (i32.const 16) "data")
            (func (export "__guest_call") (param i32 i32) (result i32) i32.const 1)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "size") (result i32) memory.size)
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#
    );
    wat::parse_str(text).expect("a module")
}

fn compiled(wasm: &[u8]) -> wasmtime::Module {
    wasmtime::Module::new(&Engine::default(), wasm).expect("it compiles")
}

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &wasmtime::Module) -> Self {
        Self::with(Store::new(module.engine(), ()), module, &[])
    }

    fn with(mut store: Store<()>, module: &wasmtime::Module, imports: &[Extern]) -> Self {
        let instance = Instance::new(&mut store, module, imports).expect("an instance");
        Self { store, instance }
    }

    fn grow(&mut self, more: u32) -> u32 {
        let grow: TypedFunc<u32, u32> = self.instance.get_typed_func(&mut self.store, "grow").expect("exported");
        grow.call(&mut self.store, more).expect("no trap")
    }

    fn size(&mut self) -> u32 {
        let size: TypedFunc<(), u32> = self.instance.get_typed_func(&mut self.store, "size").expect("exported");
        size.call(&mut self.store, ()).expect("no trap")
    }

    fn load(&mut self, address: u32) -> Option<u32> {
        let load: TypedFunc<u32, u32> = self.instance.get_typed_func(&mut self.store, "load").expect("exported");
        load.call(&mut self.store, address).ok()
    }
}

fn memory(guest: &mut Guest) -> Memory {
    guest.instance.get_memory(&mut guest.store, "memory").expect("exported")
}

#[test]
fn a_module_grows_as_it_would_without_room() {
    let steps = [0, 1, 7, 8, 9, 65_528, u32::MAX];
    for declared in ["1", "1 1", "1 2", "3 8", "1 9", "1 10", "1 40", "65530"] {
        let wasm = growing(&format!("(memory (export \"memory\") {declared})"));
        let roomy = give(&wasm);
        assert_eq!(roomy.is_some(), declared != "1 1", "{declared}");
        let Some(roomy) = roomy else { continue };
        let (plain, roomy) = (compiled(&wasm), compiled(&roomy));
        for number in 0..steps.len().pow(3) {
            let step = |place: u32| steps[number / steps.len().pow(place) % steps.len()];
            let (first, second, third) = (step(0), step(1), step(2));
            let (mut plain, mut roomy) = (Guest::new(&plain), Guest::new(&roomy));
            for more in [first, second, third] {
                let what = format!("{declared}: {first}, {second}, {third}");
                assert_eq!(plain.size(), roomy.size(), "{what}");
                assert_eq!(plain.grow(more), roomy.grow(more), "{what}");
            }
            assert_eq!(plain.size(), roomy.size());
        }
    }
}

#[test]
fn room_is_there_at_once_and_what_is_in_memory_stays() {
    let roomy = give(&growing("(memory (export \"memory\") 1)")).expect("room");
    let mut guest = Guest::new(&compiled(&roomy));
    assert_eq!(memory(&mut guest).size(&guest.store), u64::from(1 + PAGES));
    assert_eq!((guest.load(16), guest.load(70_000)), (Some(u32::from(b'd')), Some(0)));
    assert_eq!(guest.load((1 + PAGES) << 16), None, "behind the room");
    assert_eq!(guest.grow(PAGES), 1);
    assert_eq!(memory(&mut guest).size(&guest.store), u64::from(1 + PAGES), "nothing was asked of the system");
    assert_eq!(guest.grow(1), 1 + PAGES);
    assert_eq!(memory(&mut guest).size(&guest.store), u64::from(2 + PAGES));
}

#[test]
fn nobody_gets_pages_twice_when_another_module_grows_the_same_memory() {
    let roomy = give(&growing("(memory (export \"memory\") 1)")).expect("room");
    let other = wat::parse_str(
        r#"(module (import "" "memory" (memory 1))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
    )
    .expect("a module");
    // Both modules in one store, hence of one engine.
    let engine = Engine::default();
    let [roomy, other] = [&roomy, &other].map(|wasm| wasmtime::Module::new(&engine, wasm).expect("it compiles"));
    for before in [0, 3, PAGES, PAGES + 2] {
        let mut guest = Guest::new(&roomy);
        let mut owned = vec![(0, 1)];
        let first = guest.grow(before);
        owned.push((first, before));
        let shared = memory(&mut guest);
        let mut neighbour = Guest::with(guest.store, &other, &[shared.into()]);
        let theirs = neighbour.grow(2);
        owned.push((theirs, 2));
        let mut guest = Guest { store: neighbour.store, instance: guest.instance };
        for more in [1, 4, 0, 9] {
            let size = guest.size();
            assert_eq!(guest.grow(more), size, "it grows at its end");
            owned.push((size, more));
        }
        owned.sort_unstable();
        for pair in owned.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{before}: {owned:?}");
        }
    }
}

#[test]
fn what_is_unusual_or_never_grows_is_left_as_it_is() {
    let left = |text: &str| give(&wat::parse_str(text).expect("wasm")).is_none();
    let called =
        r#"(func (export "__guest_call") (param i32 i32) (result i32) i32.const 1) (global i32 (i32.const 0))"#;
    let grows = "(func (drop (memory.grow (i32.const 1))))";
    assert!(!left(&format!("(module (memory 1) {called} {grows})")));
    assert!(left(&format!("(module (memory 1) {called})")), "it does not grow");
    assert!(left(&format!("(module (memory 1) (global i32 (i32.const 0)) {grows})")), "it is not called");
    assert!(left(&format!("(module (import \"\" \"\" (memory 1)) {called} {grows})")), "the memory is another's");
    assert!(left(&format!("(module (memory 1) (memory 1) {called} {grows})")), "two memories");
    assert!(left(&format!("(module (memory 1 9 shared) {called} {grows})")), "shared");
    assert!(left(&format!("(module (memory i64 1) {called} (func (drop (memory.grow (i64.const 1)))))")), "64 bits");
}

#[test]
fn modules_in_components_get_room_however_deep() {
    let module = "(core module $m (memory 1) (global i32 (i32.const 0)) (func (drop (memory.grow (i32.const 1)))))";
    let inner = format!("{module} (export \"m\" (core module $m))");
    for text in
        [format!("(component {inner})"), format!("(component (component $c {inner}) (export \"c\" (component $c)))")]
    {
        let wasm = wat::parse_str(&text).expect("a component");
        let roomy = give(&wasm).expect("room");
        wasmparser::Validator::new().validate_all(&roomy).expect("valid");
        let mut memories = Parser::new(0).parse_all(&roomy).filter_map(|payload| match payload {
            Ok(wasmparser::Payload::MemorySection(memories)) => memories.into_iter().next(),
            _ => None,
        });
        assert_eq!(memories.next().expect("a memory").expect("readable").initial, u64::from(1 + PAGES), "{text}");
    }
}

#[test]
fn no_bytes_are_too_strange() {
    let whole = growing("(memory (export \"memory\") 1)");
    for length in 0..whole.len() {
        let _ = give(&whole[..length]);
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            let valid = wasmparser::Validator::new().validate_all(&changed).is_ok();
            if let Some(roomy) = give(&changed) {
                let still = wasmparser::Validator::new().validate_all(&roomy).map(drop);
                assert!(!valid || still.is_ok(), "byte {at}, bit {bit}: {still:?}");
            }
        }
    }
}
