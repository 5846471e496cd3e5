//! Wasm that is made to be compiled for ever, or with all the memory there is: compiled by a process of its own, which is
//! this program when it is asked to be. Hence no harness: it would come first.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use runtime::{
    CodeCacheConfig, CodeOrigin, CompileBound, CompileProcess, GuestLimits, Identity, LoadError, Runtime,
    RuntimeConfig, compile_worker,
};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, Module, TypeSection, ValType,
};

fn main() -> ExitCode {
    if compile_worker::is_asked() {
        return compile_worker::serve();
    }
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Measured by hand: `… --test compile_process -- measure calls`.
    let words: Vec<String> = std::env::args_os().skip(1).filter_map(|word| word.into_string().ok()).collect();
    if let [measure, attack] = &words[..]
        && measure == "measure"
    {
        executor.block_on(measure_attack(attack));
        return ExitCode::SUCCESS;
    }
    run(&executor, all_tests(), &words)
}

/// A test by its name.
type Test = (&'static str, Pin<Box<dyn Future<Output = ()>>>);

macro_rules! tests {
    ($($name:ident),* $(,)?) => { vec![$((stringify!($name), Box::pin($name()) as Pin<Box<dyn Future<Output = ()>>>)),*] };
}

fn all_tests() -> Vec<Test> {
    tests![
        what_is_heavy_is_compiled_elsewhere_and_kept_as_if_it_were_compiled_here,
        what_takes_too_much_memory_or_time_is_refused_with_the_reason_and_holds_up_nobody,
        who_waits_no_longer_ends_the_process,
        where_there_is_no_process_shapes_of_attacks_are_refused,
    ]
}

/// Runs those whose names have one of these words in them, or all where there is no word, one after another.
fn run(executor: &tokio::runtime::Runtime, tests: Vec<Test>, words: &[String]) -> ExitCode {
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let (wanted, others): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|(name, _)| is_wanted(name));
    println!("\nrunning {} tests", wanted.len());
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in wanted {
        // What panicked has said so on standard error.
        let is_ok = executor.block_on(AssertUnwindSafe(test).catch_unwind()).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        *(if is_ok { &mut passed } else { &mut failed }) += 1;
    }
    let (result, filtered) = (if failed == 0 { "ok" } else { "FAILED" }, others.len());
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A module of functions that all have one type; the first of them is its entry.
struct Attack {
    params: usize,
    functions: u32,
    calls: u32,
}

impl Attack {
    const CALLS: Self = Self { params: 0, functions: 2, calls: 3_400_000 };
    const WIDE: Self = Self { params: 1000, functions: 300, calls: 1 };
    const MANY: Self = Self { params: 0, functions: 999_000, calls: 0 };

    fn named(name: &str) -> Self {
        match name {
            "calls" => Self::CALLS,
            "wide" => Self::WIDE,
            "many" => Self::MANY,
            _ => panic!("calls, wide or many"),
        }
    }

    fn wasm(&self) -> Bytes {
        let (mut types, mut functions, mut exports, mut code) =
            (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        types.ty().function(vec![ValType::I32; self.params], []);
        functions.function(0);
        exports.export("__guest_call", ExportKind::Func, 0);
        let mut entry = Function::new([]);
        entry.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
        code.function(&entry);
        for index in 0..self.functions {
            functions.function(1);
            let mut body = Function::new([]);
            let calls = if index == 0 || self.calls < 2 { self.calls } else { 0 };
            for _ in 0..calls {
                for param in 0..self.params {
                    body.instruction(&Instruction::LocalGet(u32::try_from(param).unwrap()));
                }
                body.instruction(&Instruction::Call(1 + (index + 1) % self.functions));
            }
            body.instruction(&Instruction::End);
            code.function(&body);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        module.finish().into()
    }
}

fn process() -> CompileProcess {
    CompileProcess { memory_bytes: 256 << 20, time: Duration::from_secs(2), ..CompileProcess::of_this_program() }
}

fn config(bound: CompileBound) -> RuntimeConfig {
    RuntimeConfig { max_instances: 8, compile_bound: bound, ..RuntimeConfig::default() }
}

fn runtime_with(process: CompileProcess) -> Runtime {
    Runtime::new(&config(CompileBound::Process(process))).unwrap()
}

fn identity() -> Identity {
    let id = "MBZRDWFMUX4YAO5IE5I3Y3NBAZWO23I5N3A7RKA73HSQYOFT7UM3TVAT".parse().unwrap();
    Identity { id, name: "test".to_owned(), grants: Default::default() }
}

async fn load(runtime: &Runtime, wasm: Bytes) -> Result<CodeOrigin, LoadError> {
    let guest = runtime.load(wasm, identity(), GuestLimits::default()).await?;
    Ok(guest.code().clone())
}

fn too_costly(error: &LoadError) -> &str {
    match error {
        LoadError::TooCostly { reason } => reason,
        error => panic!("refused for another reason: {error}"),
    }
}

/// Heavy, and done in a moment.
const HEAVY: Attack = Attack { params: 0, functions: 10_000, calls: 1 };
const LIGHT: Attack = Attack { params: 2, functions: 3, calls: 1 };

async fn what_is_heavy_is_compiled_elsewhere_and_kept_as_if_it_were_compiled_here() {
    let directory = tempfile::tempdir().unwrap();
    let cache = CodeCacheConfig { dir: directory.path().join("code"), max_bytes: 64 << 20 };
    let with = |bound| RuntimeConfig { code_cache: Some(cache.clone()), ..config(bound) };
    let elsewhere = CompileProcess { time: Duration::from_secs(60), ..process() };
    let first = Runtime::new(&with(CompileBound::Process(elsewhere))).unwrap();
    assert_eq!(load(&first, HEAVY.wasm()).await, Ok(CodeOrigin::Compiled));
    // Whoever compiles here knows it again.
    let second = Runtime::new(&with(CompileBound::Shape)).unwrap();
    assert_eq!(load(&second, HEAVY.wasm()).await, Ok(CodeOrigin::Cache));
    // Without a program that could be asked, what is light is compiled all the same.
    let nobody = CompileProcess { program: "/nonexistent".into(), ..process() };
    let third = runtime_with(nobody);
    assert_eq!(load(&third, LIGHT.wasm()).await, Ok(CodeOrigin::Compiled));
    assert_eq!(load(&third, HEAVY.wasm()).await.unwrap_err().code(), "host_fault");
}

async fn what_takes_too_much_memory_or_time_is_refused_with_the_reason_and_holds_up_nobody() {
    let memory = runtime_with(CompileProcess { memory_bytes: 64 << 20, time: Duration::from_secs(60), ..process() });
    let time = runtime_with(CompileProcess { memory_bytes: 2 << 30, ..process() });
    let attacks = [
        (memory.clone(), Attack { calls: 400_000, ..Attack::CALLS }, "64 MiB of memory"),
        (time.clone(), Attack::WIDE, "2 s of processor time"),
    ];
    let attacks: Vec<_> = attacks
        .into_iter()
        .map(|(runtime, attack, reason)| {
            tokio::spawn(async move { (load(&runtime, attack.wasm()).await.unwrap_err(), reason) })
        })
        .collect();
    let began = Instant::now();
    for runtime in [&memory, &time] {
        assert_eq!(load(runtime, LIGHT.wasm()).await, Ok(CodeOrigin::Compiled));
    }
    let neighbours = began.elapsed();
    for attack in attacks {
        let (error, reason) = attack.await.unwrap();
        assert!(too_costly(&error).ends_with(reason), "{error}");
    }
    assert!(began.elapsed() > neighbours, "the good ones came first: {neighbours:?}");
}

async fn who_waits_no_longer_ends_the_process() {
    let children = || {
        let tasks = "/proc/self/task";
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let tasks = std::fs::read_dir(tasks).into_iter().flatten().flatten();
        tasks.map(of).map(|children| children.split_whitespace().count()).sum::<usize>()
    };
    let runtime = runtime_with(CompileProcess { memory_bytes: 2 << 30, time: Duration::from_secs(600), ..process() });
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    executor.spawn(async move { load(&runtime, Attack::WIDE.wasm()).await });
    eventually("the process starts", || children() > 0).await;
    executor.shutdown_background();
    eventually("the process ends", || children() == 0).await;
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "{what}: not within a minute");
        tokio::task::yield_now().await;
    }
}

async fn where_there_is_no_process_shapes_of_attacks_are_refused() {
    let runtime = Runtime::new(&config(CompileBound::Shape)).unwrap();
    for attack in [Attack::CALLS, Attack::WIDE, Attack::MANY] {
        let began = Instant::now();
        let error = load(&runtime, attack.wasm()).await.unwrap_err();
        assert!(too_costly(&error).contains("at most"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20), "after {:?}", began.elapsed());
    }
    assert_eq!(load(&runtime, LIGHT.wasm()).await, Ok(CodeOrigin::Compiled));
}

async fn measure_attack(name: &str) {
    for (how, bound) in
        [("in a process", CompileBound::Process(CompileProcess::of_this_program())), ("as it was", CompileBound::None)]
    {
        let runtime = Runtime::new(&config(bound)).unwrap();
        let (wasm, began) = (Attack::named(name).wasm(), Instant::now());
        let length = wasm.len();
        let (runtime_there, attacking) = (runtime.clone(), Instant::now());
        let attack = tokio::spawn(async move { (load(&runtime_there, wasm).await, attacking.elapsed()) });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let good = Instant::now();
        load(&runtime, LIGHT.wasm()).await.unwrap();
        let good = good.elapsed();
        let (outcome, took) = attack.await.unwrap();
        let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
        let outcome = outcome.map_err(|error| error.to_string());
        println!(
            "{name} {how}: {length} bytes, {took:?} ({:?}), good one {good:?}, {peak}, {outcome:?}",
            began.elapsed()
        );
    }
}
