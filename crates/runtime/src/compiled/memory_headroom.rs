//! Room for guests to grow without the operating system: a rewriting of wasm before it is compiled.
//!
//! Nearly every module asks for a page or two of memory in its first allocation. In a pool that means two changes of page
//! protection for each call, which all threads of the process wait for: half the time of a small call. So the memory
//! begins eight pages larger than the module says, and its `memory.grow` and `memory.size` become calls of two functions
//! that give these pages out first:
//!
//! ```text
//! size()      memory.size == raised ? said : memory.size
//! grow(more)  memory.size != raised ? memory.grow(more)                 somebody else has grown it
//!           : said + more <= raised ? said before it becomes said + more
//!           : memory.grow(said + more - raised) == -1 ? -1 : said
//! ```
//!
//! `said` is a global that begins with what the module says; `raised` is a constant. For the module nothing differs but
//! that an access behind its end, within these pages, finds zeros and no trap. Pure. Invariant: what has no room after
//! all, for whatever reason, is left as it is; whatever comes out is validated like any other wasm.

use wasm_encoder::{
    BlockType, CodeSection, Component, ConstExpr, Encode, Function, GlobalType, Instruction, Module, RawSection,
    ValType,
    reencode::{self, Reencode},
};
use wasmparser::{
    BinaryReader, CodeSectionReader, ComponentExportSectionReader, ExportSectionReader, FunctionBody,
    GlobalSectionReader, ImportSectionReader, MemorySectionReader, MemoryType, Operator, Parser, TypeRef,
    TypeSectionReader,
};

/// Pages of room. With it a small module still fits into what a slot of the pool keeps.
const PAGES: u32 = 8;
/// Components in components beyond which nothing is rewritten.
const DEEPEST: usize = 16;

const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const MEMORY: u8 = 5;
const GLOBAL: u8 = 6;
const EXPORT: u8 = 7;
const CODE: u8 = 10;
/// Of a component.
const CORE_MODULE: u8 = 1;
/// Of a component.
const COMPONENT: u8 = 4;
/// Of a component.
const COMPONENT_EXPORT: u8 = 11;
/// Magic and version.
const PREAMBLE: usize = 8;

type Error = reencode::Error;

/// The module or component with room. None for one that needs none, or that cannot be read: the compiler says better
/// what is wrong with it.
#[must_use]
pub fn give(wasm: &[u8]) -> Option<Vec<u8>> {
    let is_component = Parser::is_component(wasm);
    let rewritten = sections(wasm).and_then(|sections| {
        if is_component && component_is_called_often(&sections)? {
            component(&sections, 0)
        } else if !is_component && module_is_called_often(&sections)? {
            module(&sections)
        } else {
            Ok(None)
        }
    });
    rewritten.inspect_err(|error| tracing::debug!(%error, "wasm that cannot be read is compiled as it is")).ok()?
}

/// A program that runs once has no use for room.
fn module_is_called_often(sections: &[Section<'_>]) -> Result<bool, Error> {
    let Some((_, exports)) = sections.iter().find(|(id, _)| *id == EXPORT) else { return Ok(false) };
    for export in ExportSectionReader::new(BinaryReader::new(exports, 0))? {
        if export?.name == "__guest_call" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn component_is_called_often(sections: &[Section<'_>]) -> Result<bool, Error> {
    for (_, exports) in sections.iter().filter(|(id, _)| *id == COMPONENT_EXPORT) {
        for export in ComponentExportSectionReader::new(BinaryReader::new(exports, 0))? {
            if !export?.name.name.starts_with("wasi:cli/run@") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// An id and bytes.
type Section<'w> = (u8, &'w [u8]);

/// What modules and components consist of.
fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>, Error> {
    let mut reader = BinaryReader::new(wasm, 0);
    reader.read_bytes(PREAMBLE)?;
    let mut sections = Vec::new();
    while !reader.eof() {
        let (id, length) = (reader.read_u8()?, reader.read_var_u32()?);
        sections.push((id, reader.read_bytes(length as usize)?));
    }
    Ok(sections)
}

/// None when no module in it gets room.
fn component(parts: &[Section<'_>], depth: usize) -> Result<Option<Vec<u8>>, Error> {
    if depth == DEEPEST {
        return Ok(None);
    }
    let (mut rewritten, mut changed) = (Component::new(), false);
    for &(id, data) in parts {
        let inner = match id {
            CORE_MODULE => module(&sections(data)?)?,
            COMPONENT => component(&sections(data)?, depth + 1)?,
            _ => None,
        };
        changed |= inner.is_some();
        rewritten.section(&RawSection { id, data: inner.as_deref().unwrap_or(data) });
    }
    Ok(changed.then(|| rewritten.finish()))
}

/// None when it gets no room: it does not grow, has no memory or several, or one that is not of the usual kind.
fn module(sections: &[Section<'_>]) -> Result<Option<Vec<u8>>, Error> {
    let Some(mut room) = Room::of(sections)? else { return Ok(None) };
    let mut rewritten = Module::new();
    for &(id, data) in sections {
        let data = match id {
            TYPE => &appended(data, &room.types())?,
            FUNCTION => &appended(data, &[encoded(room.first_type), encoded(room.first_type + 1)])?,
            MEMORY => &room.memory(),
            GLOBAL => &appended(data, &[room.said()])?,
            CODE => {
                rewritten.section(&room.code(data)?);
                continue;
            }
            _ => data,
        };
        rewritten.section(&RawSection { id, data });
    }
    Ok(Some(rewritten.finish()))
}

/// A section with more items at its end.
fn appended(section: &[u8], items: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32()?;
    let more = u32::try_from(items.len()).expect("one or two");
    let mut longer = encoded(count.saturating_add(more));
    longer.extend_from_slice(reader.read_bytes(reader.bytes_remaining())?);
    items.iter().for_each(|item| longer.extend_from_slice(item));
    Ok(longer)
}

fn encoded(item: impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    item.encode(&mut bytes);
    bytes
}

/// What is added to a module, and where.
struct Room {
    /// Pages the module says it begins with.
    said: u32,
    /// Pages it begins with.
    raised: u32,
    maximum: Option<u64>,
    /// Indices of what is added: the type of `grow`, then that of `size`; the function `grow`, then `size`; the global.
    first_type: u32,
    first_function: u32,
    global: u32,
}

impl Room {
    fn of(sections: &[Section<'_>]) -> Result<Option<Self>, Error> {
        let section = |id| sections.iter().find(|(this, _)| *this == id).map(|(_, data)| BinaryReader::new(data, 0));
        let (Some(types), Some(functions), Some(memories), Some(globals), Some(code)) =
            (section(TYPE), section(FUNCTION), section(MEMORY), section(GLOBAL), section(CODE))
        else {
            return Ok(None);
        };
        let (mut imported_functions, mut imported_globals) = (0, 0);
        if let Some(imports) = section(IMPORT) {
            for import in ImportSectionReader::new(imports)?.into_imports() {
                match import?.ty {
                    TypeRef::Func(_) | TypeRef::FuncExact(_) => imported_functions += 1,
                    TypeRef::Global(_) => imported_globals += 1,
                    TypeRef::Memory(_) => return Ok(None),
                    TypeRef::Table(_) | TypeRef::Tag(_) => {}
                }
            }
        }
        let mut memories = MemorySectionReader::new(memories)?.into_iter();
        let (Some(memory), None) = (memories.next().transpose()?, memories.next()) else { return Ok(None) };
        let Some((said, raised)) = raised(memory) else { return Ok(None) };
        if !CodeSectionReader::new(code)?
            .into_iter()
            .try_fold(false, |grows, body| Ok::<_, Error>(grows || asks(&body?)?))?
        {
            return Ok(None);
        }
        let mut first_type = 0;
        for group in TypeSectionReader::new(types)? {
            first_type += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
        }
        Ok(Some(Self {
            said,
            raised,
            maximum: memory.maximum,
            first_type,
            first_function: imported_functions + wasmparser::FunctionSectionReader::new(functions)?.count(),
            global: imported_globals + GlobalSectionReader::new(globals)?.count(),
        }))
    }

    fn types(&self) -> [Vec<u8>; 2] {
        // A function type: its parameters, its results.
        [vec![0x60, 1, 0x7f, 1, 0x7f], vec![0x60, 0, 1, 0x7f]]
    }

    fn memory(&self) -> Vec<u8> {
        let (minimum, maximum) = (self.raised.into(), self.maximum);
        let memory =
            wasm_encoder::MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
        let mut section = encoded(1_u32);
        memory.encode(&mut section);
        section
    }

    fn said(&self) -> Vec<u8> {
        let mut global = encoded(GlobalType { val_type: ValType::I32, mutable: true, shared: false });
        ConstExpr::i32_const(self.said.cast_signed()).encode(&mut global);
        global
    }

    fn code(&mut self, section: &[u8]) -> Result<CodeSection, Error> {
        let mut code = CodeSection::new();
        for body in CodeSectionReader::new(BinaryReader::new(section, 0))? {
            let body = body?;
            if asks(&body)? {
                self.parse_function_body(&mut code, body)?;
            } else {
                code.raw(body.as_bytes());
            }
        }
        code.function(&self.grow());
        code.function(&self.size());
        Ok(code)
    }

    fn grow(&self) -> Function {
        let (raised, global, more, sum) = (self.raised, self.global, 0, 1);
        let mut function = Function::new([(1, ValType::I64)]);
        let mut does = |instructions: &[Instruction<'_>]| {
            for instruction in instructions {
                function.instruction(instruction);
            }
        };
        does(&[Instruction::MemorySize(0), Instruction::I32Const(raised.cast_signed()), Instruction::I32Ne]);
        does(&[Instruction::If(BlockType::Empty), Instruction::LocalGet(more), Instruction::MemoryGrow(0)]);
        does(&[Instruction::Return, Instruction::End]);
        does(&[Instruction::GlobalGet(global), Instruction::I64ExtendI32U]);
        does(&[
            Instruction::LocalGet(more),
            Instruction::I64ExtendI32U,
            Instruction::I64Add,
            Instruction::LocalTee(sum),
        ]);
        does(&[Instruction::I64Const(raised.into()), Instruction::I64LeU]);
        does(&[Instruction::If(BlockType::Result(ValType::I32)), Instruction::GlobalGet(global)]);
        does(&[Instruction::LocalGet(sum), Instruction::I32WrapI64, Instruction::GlobalSet(global), Instruction::Else]);
        does(&[Instruction::LocalGet(sum), Instruction::I64Const(raised.into()), Instruction::I64Sub]);
        does(&[Instruction::I32WrapI64, Instruction::MemoryGrow(0), Instruction::I32Const(-1), Instruction::I32Eq]);
        does(&[Instruction::If(BlockType::Result(ValType::I32)), Instruction::I32Const(-1), Instruction::Else]);
        does(&[Instruction::GlobalGet(global), Instruction::End, Instruction::End, Instruction::End]);
        function
    }

    fn size(&self) -> Function {
        let mut function = Function::new([]);
        for instruction in [
            Instruction::MemorySize(0),
            Instruction::I32Const(self.raised.cast_signed()),
            Instruction::I32Eq,
            Instruction::If(BlockType::Result(ValType::I32)),
            Instruction::GlobalGet(self.global),
            Instruction::Else,
            Instruction::MemorySize(0),
            Instruction::End,
            Instruction::End,
        ] {
            function.instruction(&instruction);
        }
        function
    }
}

impl Reencode for Room {
    type Error = std::convert::Infallible;

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match operator {
            Operator::MemoryGrow { .. } => Ok(Instruction::Call(self.first_function)),
            Operator::MemorySize { .. } => Ok(Instruction::Call(self.first_function + 1)),
            other => reencode::utils::instruction(self, other),
        }
    }
}

/// Pages a memory says it begins with, and those it will. None for one that cannot be larger or is unusual.
fn raised(memory: MemoryType) -> Option<(u32, u32)> {
    let MemoryType { memory64: false, shared: false, initial, maximum, page_size_log2: None } = memory else {
        return None;
    };
    let said = u32::try_from(initial).ok()?;
    let most = maximum.map_or(1 << 16, |maximum| maximum.min(1 << 16));
    let raised = u32::try_from(u64::from(said.checked_add(PAGES)?).min(most)).ok()?;
    (raised > said).then_some((said, raised))
}

/// Whether a function grows the memory or asks for its size.
fn asks(body: &FunctionBody<'_>) -> Result<bool, Error> {
    // What does not even have the bytes need not be read. Where they are written in another way, the function is left
    // as it is, which is as if somebody else had grown the memory.
    if !body.as_bytes().windows(2).any(|pair| matches!(pair, [0x3f | 0x40, 0])) {
        return Ok(false);
    }
    for operator in body.get_operators_reader()? {
        if matches!(operator?, Operator::MemoryGrow { .. } | Operator::MemorySize { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
