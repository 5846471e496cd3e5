//! How much work a wasm is to compile, as far as its shape tells.
//!
//! Reads sizes and compiles nothing. Compiling takes about as long as the code is large, but for what compilers are worse
//! than linear in: very long functions, functions with very many parameters, and very many functions. Invariant: what is
//! [`Weight::Light`] takes no longer than a moment and little memory, whatever its bytes are.

use wasmparser::{CompositeInnerType, FunctionBody, Parser, Payload};

/// Sizes of a wasm, over all the modules in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Functions with code, and those that the interfaces of a component make needed.
    functions: u64,
    /// Bytes of their code.
    code: u64,
    /// The longest of them, or the one with most locals: what compilers do with both may be the product of the two.
    longest: u64,
    /// Most parameters and results of a type.
    widest: u64,
}

/// Where it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// With all the others.
    Light,
    /// By itself.
    Heavy,
}

/// Up to here a wasm is light: its largest sizes.
const LIGHT: Shape = Shape { functions: 8_000, code: 256 << 10, longest: 16 << 10, widest: 64 };

/// Up to here it is compiled where there is no process for it, which could be stopped. Far above what toolchains make.
const MOST: Shape = Shape { functions: 250_000, code: 64 << 20, longest: 1 << 20, widest: 250 };

/// What of a shape is above `most`, with its bound.
type Excess = (&'static str, u64, u64);

impl Shape {
    /// Of a module or a component. What is malformed has the shape of its part before that; it is compiled by nobody.
    pub(super) fn of(wasm: &[u8]) -> Self {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            match payload {
                Payload::TypeSection(types) => {
                    for ty in types.into_iter().map_while(Result::ok).flat_map(|group| group.into_types()) {
                        if let CompositeInnerType::Func(ty) = ty.composite_type.inner {
                            shape.widest = shape.widest.max((ty.params().len() + ty.results().len()) as u64);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let length = body.range().len() as u64;
                    shape.functions += 1;
                    shape.code += length;
                    shape.longest = shape.longest.max(length).max(locals(&body));
                }
                // Calls between components become functions as well.
                Payload::ComponentCanonicalSection(functions) => shape.functions += 16 * u64::from(functions.count()),
                _ => {}
            }
        }
        shape
    }

    pub(super) fn weight(self) -> Weight {
        if self.excess(LIGHT).is_none() { Weight::Light } else { Weight::Heavy }
    }

    /// Why it is not even tried in this process.
    pub(super) fn refusal(self) -> Option<String> {
        let (what, size, most) = self.excess(MOST)?;
        Some(format!("{what}: {size}, where no process is there to compile it in at most {most}"))
    }

    fn excess(self, most: Self) -> Option<Excess> {
        let sizes = [
            ("bytes of code in its longest function", self.longest, most.longest),
            ("parameters and results of a function", self.widest, most.widest),
            ("functions", self.functions, most.functions),
            ("bytes of code", self.code, most.code),
        ];
        sizes.into_iter().find(|(_, size, most)| size > most)
    }
}

/// Locals of a function, which a few bytes may declare by the thousand.
fn locals(body: &FunctionBody<'_>) -> u64 {
    let groups = body.get_locals_reader().into_iter().flatten().map_while(Result::ok);
    groups.map(|(count, _)| u64::from(count)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(&wat::parse_str(text).expect("valid text"))
    }

    #[test]
    fn all_modules_of_a_component_count() {
        let module = "(core module (func (param i32 i32) (result i32) local.get 0) (func))";
        let one = shape(&format!("(component {module})"));
        assert_eq!((one.functions, one.widest, one.weight()), (2, 3, Weight::Light));
        let two = shape(&format!("(component {module} (component {module}))"));
        assert_eq!((two.functions, two.code, two.longest), (4, 2 * one.code, one.longest));
    }

    #[test]
    fn long_wide_and_many_functions_are_heavy_and_those_of_attackers_refused() {
        let long = |bytes: usize| shape(&format!("(module (func {}))", "nop ".repeat(bytes)));
        assert_eq!(long(1 << 10).weight(), Weight::Light);
        assert_eq!((long(17 << 10).weight(), long(17 << 10).refusal()), (Weight::Heavy, None));
        let with_locals = shape(&format!("(module (func (local {})))", "i64 ".repeat(20_000)));
        assert_eq!((with_locals.longest, with_locals.weight()), (20_000, Weight::Heavy));
        assert!(long(3 << 20).refusal().is_some_and(|reason| reason.starts_with("bytes of code in its longest")));
        let wide = shape(&format!("(module (type (func (param {}))))", "i32 ".repeat(1000)));
        assert!(wide.refusal().is_some_and(|reason| reason.starts_with("parameters and results of a function: 1000")));
        assert_eq!(Shape::of(b"\0asm").weight(), Weight::Light, "it is nothing");
    }
}
