//! The commands, one file per verb. Each takes its arguments and the [`Context`], and returns what is to be shown.

pub mod call;
pub mod claims;
pub mod compile;
pub mod completions;
pub mod down;
pub mod drain;
pub mod events;
pub mod get;
pub mod inspect;
pub mod keys;
pub mod label;
pub mod link;
pub mod par;
pub mod pull;
pub mod push;
pub mod reg;
pub mod run;
pub mod scale;
pub mod serve;
pub mod start;
pub mod stop;
pub mod up;
pub mod update;
pub mod why;

use clap::Subcommand;

use crate::{
    context::Context,
    terminal::{failure::Result, output::Output},
};

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a host on this machine, and NATS for it if need be
    ///
    /// Example: wash up --detached --label zone=edge
    Up(Box<up::UpArgs>),
    /// Stop hosts of this machine, and NATS when no host needs it
    Down(down::DownArgs),
    /// Show hosts, inventories, claims and links
    #[command(subcommand)]
    Get(get::GetCommand),
    /// Start an actor or a provider
    #[command(subcommand)]
    Start(start::StartCommand),
    /// Stop an actor, a provider or a host
    #[command(subcommand)]
    Stop(stop::StopCommand),
    /// Set how many instances of an actor may run
    #[command(subcommand)]
    Scale(scale::ScaleCommand),
    /// Replace a running actor by another version
    #[command(subcommand)]
    Update(update::UpdateCommand),
    /// Link actors to providers
    #[command(subcommand)]
    Link(link::LinkCommand),
    /// Label a host
    ///
    /// Example: wash label quiet-sea zone=edge
    #[command(alias = "tag")]
    Label(label::LabelArgs),
    /// Call an operation of an actor
    ///
    /// Example: wash call echo HttpServer.HandleRequest '{"method":"GET","path":"/","queryString":"","header":{},"body":[]}'
    Call(Box<call::CallArgs>),
    /// Say why something does not work, and what to do
    ///
    /// Walks the chain from claims to the last error across the hosts of the lattice. Exit code 0: nothing is broken;
    /// 1: something is, and the cause is named.
    ///
    /// Example: wash why call echo wasmcloud:keyvalue
    #[command(subcommand)]
    Why(why::WhyCommand),
    /// Show what happens in the lattice, as it happens
    Events(events::EventsArgs),
    /// Run a command program on this machine, without any lattice
    ///
    /// Anything with `_start` and WASI preview 1, or with `wasi:cli/run`. It gets the clock, random numbers, its
    /// arguments and the standard streams; directories, variables and sockets only as they are granted. The exit code
    /// is the program's own; 134 when it trapped or broke a limit, 124 when its time was over.
    ///
    /// Example: wash run wc.wasm --dir .::/work:ro -- -l /work/README.md
    Run(Box<run::RunArgs>),
    /// Serve a `wasi:http` component, or a module that takes requests as messages, on this machine, without any lattice
    ///
    /// Each request gets a fresh instance unless `--reuse` says otherwise. Failed calls are answered as the HTTP server
    /// provider answers them (503, 504, 500) and said on stderr. Ctrl-C and SIGTERM let what runs come to its end, up to
    /// `--timeout`.
    ///
    /// Example: wash serve hello.wasm --addr 127.0.0.1:8080
    Serve(Box<serve::ServeArgs>),
    /// Compile a module or a component ahead of time, for this machine
    ///
    /// `wash run`, `wash serve` and the hosts of this user use the code in the result; everybody else compiles the wasm
    /// in it anew and says so.
    ///
    /// Example: wash compile echo_s.wasm && wash start actor ./echo_s.cwasm
    Compile(Box<compile::CompileArgs>),
    /// Make and show keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Sign actors, make tokens, show claims
    #[command(subcommand)]
    Claims(claims::ClaimsCommand),
    /// Make and show provider archives
    #[command(subcommand)]
    Par(par::ParCommand),
    /// Show what an actor or provider archive claims
    ///
    /// Example: wash inspect localhost:5000/acme/echo:0.1.0 --insecure
    Inspect(Box<inspect::InspectArgs>),
    /// Store a signed actor or a provider archive in a registry
    ///
    /// Example: wash push localhost:5000/acme/echo:0.1.0 echo_s.wasm --insecure
    Push(Box<push::PushArgs>),
    /// Fetch a signed actor or a provider archive from a registry
    ///
    /// Example: wash pull ghcr.io/acme/echo:0.1.0 --destination echo_s.wasm
    Pull(Box<pull::PullArgs>),
    /// Older spelling of push and pull; and whether a registry answers
    #[command(subcommand)]
    Reg(reg::RegCommand),
    /// Empty what wash has cached
    Drain(drain::DrainArgs),
    /// Print what a shell needs to complete command lines
    ///
    /// Example: wash completions -d ~/.local/share/bash-completion/completions bash
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Runs it. `tree` is the command line as a whole, for what is said about it.
    ///
    /// # Errors
    /// Whatever the command reports.
    pub async fn run(self, context: &Context, tree: clap::Command) -> Result<Output> {
        match self {
            Self::Up(args) => Box::pin(up::run(*args, context)).await,
            Self::Down(args) => Box::pin(down::run(&args, context)).await,
            Self::Get(command) => Box::pin(get::run(command, context)).await,
            Self::Start(command) => Box::pin(start::run(command, context)).await,
            Self::Stop(command) => Box::pin(stop::run(command, context)).await,
            Self::Scale(command) => Box::pin(scale::run(command, context)).await,
            Self::Update(command) => Box::pin(update::run(command, context)).await,
            Self::Link(command) => Box::pin(link::run(command, context)).await,
            Self::Label(args) => Box::pin(label::run(&args, context)).await,
            Self::Call(args) => Box::pin(call::run(&args, context)).await,
            Self::Why(command) => Box::pin(why::run(command, context)).await,
            Self::Events(args) => Box::pin(events::run(&args, context)).await,
            Self::Run(args) => Box::pin(run::run(*args, context)).await,
            Self::Serve(args) => Box::pin(serve::run(*args, context)).await,
            Self::Compile(args) => Box::pin(compile::run(&args, context)).await,
            Self::Keys(command) => keys::run(command, context),
            Self::Claims(command) => Box::pin(claims::run(command, context)).await,
            Self::Par(command) => Box::pin(par::run(command, context)).await,
            Self::Inspect(args) => Box::pin(inspect::run(&args, context)).await,
            Self::Push(args) => Box::pin(push::run(&args, context)).await,
            Self::Pull(args) => Box::pin(pull::run(&args, context)).await,
            Self::Reg(command) => Box::pin(reg::run(command, context)).await,
            Self::Drain(args) => drain::run(&args, context),
            Self::Completions(args) => completions::run(&args, tree),
        }
    }
}
