//! The NATS server that `wash up` brings along: who may use it, and what becomes of it.

mod up;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lattice_tests::{Actor, Guarded, NatsServer, Signer, TestLattice, binary, eventually, free_address, get};
use up::Home;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Every file below a directory, and whether `nobody` is to read none of them is for the test to say.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files
}

/// What a server says to a client that says `words` after its greeting, up to the first error or the answer to a ping.
fn say(port: u16, words: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    stream.write_all(words.as_bytes()).expect("it listens");
    let mut said = String::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        said.push_str(&line);
        said.push('\n');
        if line.starts_with("-ERR") || line.starts_with("PONG") {
            break;
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_the_machine_can_neither_start_nor_call_nor_read_nor_subscribe() {
    let Some(home) = Home::new() else { return };
    let up = home.up("--label zone=own");
    let (host, port) = (up["host_id"].as_str().expect("an id"), home.port());
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let file = home.path("echo_s.wasm");
    fs::copy(&echo.path, &file).expect("a copy that others may read");
    home.wash(&format!("start actor {} --host-id {host} -p {port}", file.display()));
    assert_eq!(home.hosts(), 1, "its own user is not asked for anything");

    let Some(nobody) = home.nobody() else { return };
    for line in [
        format!("get hosts -p {port}"),
        format!("get inventory {host} -p {port}"),
        format!("get links -p {port}"),
        format!("get claims -p {port}"),
        format!("events -p {port}"),
        format!("start actor {} --host-id {host} -p {port}", file.display()),
        format!("start provider {} --host-id {host} -p {port}", file.display()),
        format!("start provider builtin://httpserver --host-id {host} -p {port}"),
        format!("stop host {host} -p {port}"),
        format!("link put {} httpserver wasmcloud:httpserver -p {port}", echo.id),
        format!("label {host} taken=yes -p {port}"),
        format!("up --nats-port {port}"),
    ] {
        let output = nobody.wash(&line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "`wash {line}`: {said}{}", String::from_utf8_lossy(&output.stdout));
        assert!(said.contains("refused the credentials"), "`wash {line}`: {said}");
    }
    let socket = up["socket"].as_str().expect("a path");
    assert!(!nobody.wash(&format!("get hosts --socket {socket}")).status.success());
    let call = nobody.wash(&format!("call {} HttpServer.HandleRequest -p {port} -c {}", echo.id, cluster_seed()));
    assert!(String::from_utf8_lossy(&call.stderr).contains("refused the credentials"), "{call:?}");

    for word in ["SUB > 1\r\n", "PUB wasmbus.ctl.default.ping.hosts 0\r\n\r\n", ""] {
        let said = say(port, &format!("CONNECT {{\"verbose\":false}}\r\n{word}PING\r\n"));
        assert!(said.contains("-ERR 'Authorization Violation'") && !said.contains("MSG"), "{said}");
    }

    let files = files_below(&home.path("wash"));
    assert!(files.iter().any(|file| file.ends_with(format!("nats-{port}/wash.creds"))), "{files:?}");
    for file in files {
        let read = nobody.run(Path::new("/bin/cat"), [file.as_os_str()]);
        assert!(!read.status.success() && read.stdout.is_empty(), "nobody reads {}", file.display());
    }
    assert_eq!(home.hosts(), 1);
    let inventory = home.wash(&format!("get inventory {host} -p {port}"));
    assert_eq!(inventory["inventories"][0]["providers"], serde_json::json!([]), "nothing was started");
}

fn cluster_seed() -> String {
    claims::KeyPair::generate(claims::KeyKind::Cluster).seed().expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_the_user_join_unasked_and_other_tools_with_the_file_that_is_named() {
    let Some(home) = Home::new() else { return };
    let up = home.up("");
    let creds = up["nats_creds"].as_str().expect("a path").to_owned();
    home.up("");
    let daemon = ["--nats-port", &home.port().to_string(), "--state-dir", "daemon"].map(str::to_owned);
    let (own, wash_home) = (home.path("."), home.path("wash"));
    let env = [("HOME", own.as_os_str()), ("WASH_HOME", wash_home.as_os_str())];
    let state = home.path("daemon");
    let args = [&daemon[..3], &[state.display().to_string()]].concat();
    let _daemon = Guarded::start(&binary("wash-host"), &args, &env, &home.path("daemon.log"));
    eventually("three hosts", || {
        std::future::ready(match home.hosts() {
            3 => Ok(()),
            count => Err(count.to_string()),
        })
    })
    .await;

    let tool = async_nats::ConnectOptions::new().credentials_file(&creds).await.expect("the format of NATS");
    let tool = tool.connect(format!("127.0.0.1:{}", home.port())).await.expect("another tool connects");
    let streams = async_nats::jetstream::new(tool).query_account().await.expect("with JetStream");
    assert!(streams.streams >= 2, "the buckets of the lattice: {streams:?}");
    // A server that is ours is not left to strangers by naming another home.
    let other = home
        .command(&binary("wash"))
        .env("WASH_HOME", home.path("other"))
        .args(["get", "hosts", "-p"])
        .arg(home.port().to_string())
        .output()
        .expect("wash runs");
    assert!(String::from_utf8_lossy(&other.stderr).contains("wash.creds"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_server_takes_everybody_and_says_so() {
    let Some(home) = Home::new() else { return };
    let up = home.up("--nats-open");
    assert!(up["notes"].to_string().contains("every user and every program of this machine"), "{up}");
    assert!(up["nats_creds"].is_null());
    assert!(say(home.port(), "CONNECT {\"verbose\":false}\r\nPING\r\n").contains("PONG"));
    assert_eq!(home.hosts(), 1);
    let second = home.up("");
    assert!(second["notes"].to_string().contains("asks nobody who he is"), "{second}");
    let down = home.wash("down --all");
    assert_eq!(down["nats_stopped"], true, "{down}");
    let guarded = home.up("")["nats_creds"].as_str().expect("a path").to_owned();
    let creds = fs::read_to_string(&guarded).expect("it is there");
    assert_eq!((home.hosts(), home.wash("down")["nats_stopped"].clone()), (1, true.into()));
    assert!(home.up("--nats-open")["nats_creds"].is_null() && !Path::new(&guarded).exists());
    assert_eq!((home.hosts(), home.wash("down")["nats_stopped"].clone()), (1, true.into()));
    home.up("");
    assert_eq!(fs::read_to_string(&guarded).expect("it is there again"), creds, "who was told keeps it");
}

/// The status with which a websocket is answered.
fn websocket(port: u16, origin: Option<&str>) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{origin}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    String::from_utf8_lossy(&status).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_open_no_websocket_unless_they_are_named() {
    for (flags, page, own) in [
        ("", "HTTP/1.1 403", "HTTP/1.1 403"),
        ("--nats-websocket-origin https://page.test", "HTTP/1.1 101", "HTTP/1.1 403"),
    ] {
        let Some(home) = Home::new() else { return };
        let port = free_address().port();
        home.up(&format!("--nats-websocket-port {port} {flags}"));
        assert_eq!(websocket(port, Some("https://page.test")), page);
        assert_eq!(websocket(port, Some(&format!("http://127.0.0.1:{port}"))), own, "names can be made to lead here");
        assert_eq!(websocket(port, Some("https://page.test.evil.test")), "HTTP/1.1 403");
        assert_eq!(websocket(port, None), "HTTP/1.1 101", "a program that is no browser has credentials to show");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_named_and_is_away_is_an_error_and_nothing_else_is_touched() {
    let Some(home) = Home::new() else { return };
    let up = home.wash("up -d --no-nats");
    let name = up["friendly_name"].as_str().expect("a name");
    let actor = claims::KeyPair::generate(claims::KeyKind::Module).public();
    let dead = free_address().port();
    fs::create_dir_all(home.path("wash/contexts")).expect("a directory");
    let context = format!("{{\"name\":\"dead\",\"ctl_host\":\"localhost\",\"ctl_port\":{dead}}}");
    fs::write(home.path("wash/contexts/dead.json"), context).expect("written");
    for named in [
        format!("-p {dead}"),
        format!("-r localhost:{dead}"),
        format!("-r [::1]:{dead}"),
        format!("-r ::1 -p {dead}"),
        format!("-r nats://u:s3cr3t@127.0.0.1 -p {dead}"),
        "--context dead".to_owned(),
    ] {
        for command in [
            format!("stop host {name}"),
            "get hosts".to_owned(),
            format!("link put {actor} httpserver wasmcloud:httpserver"),
            format!("claims revoke actor {actor}"),
            format!("down --host-id {name}"),
        ] {
            let failure = home.failure(&format!("{command} {named}"));
            let text = failure.to_string();
            assert!(text.contains("no NATS server answers") && text.contains(&dead.to_string()), "{command}: {text}");
            assert!(!text.contains("s3cr3t"), "{text}");
        }
        let down = home.wash(&format!("down --all {named}"));
        assert_eq!(down["hosts_stopped"], serde_json::json!([]), "{down}");
    }
    let hosts = home.wash("get hosts --no-nats");
    assert_eq!(hosts["hosts"].as_array().map(Vec::len), Some(1), "the host of this machine was never meant");
    assert_eq!(home.wash("get links --no-nats")["links"], serde_json::json!([]));
}

/// Runs `wash down` and gives what it says and how long it took.
fn timed_down(home: &Home, flags: &str) -> (serde_json::Value, Duration) {
    let started = Instant::now();
    let down = home.wash(&format!("down --all {flags}"));
    (down, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_up_started_goes_with_the_hosts_of_this_machine_also_on_a_leaf() {
    let Some(mut hub) = NatsServer::prepare() else { return };
    let leaf = free_address();
    hub.configure(&format!("leafnodes {{ listen: \"{leaf}\" }}\nno_auth_user: all\naccounts {{ A {{ jetstream: enabled, users: [ {{ user: all, password: all }} ] }} }}\n"));
    hub.start_again().await;
    let mut beyond = TestLattice::empty(hub);
    beyond.add_host("beyond").await;
    let Some(home) = Home::new() else { return };
    home.up(&format!("--nats-remote-url nats://all:all@{leaf} --nats-js-domain edge"));
    eventually("both hosts over the leaf", || {
        std::future::ready(match home.hosts() {
            2 => Ok(()),
            count => Err(count.to_string()),
        })
    })
    .await;
    let (down, _) = timed_down(&home, "");
    assert_eq!(down["nats_stopped"], true, "{down}");
    assert!(beyond.operator_at("beyond").hosts().await.is_ok(), "the host beyond goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stays_for_others_and_that_is_said() {
    let Some(home) = Home::new() else { return };
    let creds = home.up("")["nats_creds"].as_str().expect("a path").to_owned();
    let options = async_nats::ConnectOptions::new().name("wadm").credentials_file(&creds).await.expect("read");
    let wadm = options.connect(format!("127.0.0.1:{}", home.port())).await.expect("it connects");
    let (down, _) = timed_down(&home, "");
    assert_eq!(down["nats_stopped"], false);
    assert!(down["nats_stays"][0].as_str().is_some_and(|why| why.contains("`wadm`")), "{down}");
    drop(wadm);
    eventually("the end of the server", || {
        let down = home.wash("down");
        std::future::ready(if down["nats_stopped"] == true { Ok(()) } else { Err(down.to_string()) })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_waits_for_nothing_whatever_state_the_lattice_is_in() {
    for state in ["idle", "actor", "called from another host", "NATS away", "called, NATS away"] {
        let Some(home) = Home::new() else { return };
        let nothing_runs = timed_down(&home, "").1;
        let port = home.port();
        home.up("--label zone=a");
        home.up("--label zone=b");
        if state != "idle" {
            let signer = Signer::default();
            let echo = signer.actor(Actor::Echo);
            home.wash(&format!("start provider builtin://httpserver --constraint zone=a -p {port}"));
            home.wash(&format!("start actor {} --constraint zone=b -p {port}", echo.path.display()));
            if state.contains("called") {
                let address = free_address();
                let link = format!("link put {} httpserver wasmcloud:httpserver address={address} -p {port}", echo.id);
                home.wash(&link);
                assert!(get(address, "/x").await.contains("/x"));
            }
        }
        if state.contains("away") {
            let pid = fs::read_to_string(home.path(&format!("wash/nats-{port}/nats.pid"))).expect("a file");
            let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        }
        let (down, took) = timed_down(&home, "");
        assert_eq!(down["hosts_stopped"].as_array().map(Vec::len), Some(2), "{down}");
        println!("FIGURE wash down, {state}: {took:?}; with nothing running {nothing_runs:?}");
        // On a busy machine all that is to be done takes longer, as does a `wash` that has nothing to do.
        let allowed = Duration::from_millis(300) + 8 * nothing_runs;
        assert!(took < allowed, "{state}: {took:?}, while nothing to do takes {nothing_runs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_starts_no_host_where_the_server_refuses_it_and_says_in_which_way() {
    let Some(home) = Home::new() else { return };
    let usage = home.output("up -d --nats-port 0");
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    let Some(mut guarded) = NatsServer::prepare() else { return };
    guarded.configure("authorization { user: ada, password: right }");
    guarded.start_again().await;
    let Some(plain) = NatsServer::start().await else { return };
    for (flags, says) in [
        (format!("--nats-port {}", guarded.address().port()), "refused the credentials"),
        (format!("--nats-host nats://ada:wr0ng@{}", guarded.address()), "refused the credentials"),
        (format!("--nats-host tls://{}", plain.address()), "it speaks no TLS"),
    ] {
        let failure = home.failure(&format!("up -d {flags}")).to_string();
        assert!(failure.contains(says) && !failure.contains("wr0ng"), "{flags}: {failure}");
    }
    assert!(home.failure("get hosts --no-nats")["error"].as_str().is_some_and(|text| text.contains("no host")));
    let up = home.wash(&format!("up -d --nats-host nats://ada:right@{}", guarded.address()));
    assert_eq!(up["nats_url"], format!("nats://{}", guarded.address()));
    let listing = command_lines("--plan");
    assert!(listing.iter().all(|line| line.matches("ada:right").count() <= 1), "as the user gave it: {listing:?}");
    assert_eq!(home.wash("down --all")["nats_stopped"], false, "the server is not ours");
}

/// Command lines of processes that have a word among their arguments.
fn command_lines(word: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(word)).collect()
}
