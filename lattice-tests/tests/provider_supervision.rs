//! Provider processes that misbehave: what callers are told, what the lattice is told, and that nothing of them is left.
#![cfg(target_os = "linux")] // processes are looked at through /proc

mod keyvalue_support;

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use claims::ProviderId;
use futures_util::StreamExt as _;
use keyvalue_support::{COUNTERS, Counting};
use lattice::{HealthResponse, LinkName, control::AskWhy, event::EventData, subject::RpcSubject};
use lattice_tests::{
    KEYVALUE, Signed, Signer, TestLattice, binary, eventually, eventually_within, kill, link, try_get,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A provider whose program is a shell script; `$dir` in it is a directory of the test.
struct Script {
    signed: Signed<ProviderId>,
    dir: tempfile::TempDir,
    _signer: Signer,
}

impl Script {
    fn new(text: &str) -> Self {
        let (dir, signer) = (tempfile::tempdir().expect("a directory"), Signer::default());
        let store = binary("wash-keyvalue-redb");
        let script = format!("#!/bin/sh\ndir={}\nstore={}\n{text}\n", dir.path().display(), store.display());
        Self { signed: signer.provider(script.as_bytes(), KEYVALUE), dir, _signer: signer }
    }

    /// The store on disk, which dies at its start while the file `broken` is there.
    fn store() -> Self {
        Self::new(
            "echo $$ > $dir/pid\n[ -e $dir/broken ] && { echo 'the disk is gone: postgres://svc:hunter2@db' >&2; exit 3; }\nexec $store",
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A process that the script has noted.
    fn pid(&self, name: &str) -> i32 {
        fs::read_to_string(self.file(name)).expect("it was noted").trim().parse().expect("a process id")
    }
}

fn runs(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok()) && !state.contains(") Z ")
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("it runs");
}

/// A host with a counting actor whose store is the script's.
async fn counting(script: &Script) -> Option<(TestLattice, Counting)> {
    let lattice = TestLattice::start(["a"]).await?;
    let operator = lattice.operator().await;
    operator.start_provider(&lattice.id("a"), &script.signed.reference()).await.expect("the store starts");
    let counting = Counting::start(&lattice, "a", COUNTERS[0]).await;
    operator.put(&link(&counting.actor, &script.signed.id, KEYVALUE, &[])).await.expect("the link is taken");
    counts(&counting, 1).await;
    Some((lattice, counting))
}

/// Asks until the counter says this.
async fn counts(counting: &Counting, expected: i64) {
    eventually(&format!("{expected}"), || async {
        let answer = try_get(counting.address, "/n").await?;
        if answer.body.trim() == format!("{{\"counter\":{expected}}}") { Ok(()) } else { Err(answer.body) }
    })
    .await;
}

/// Asks until the answer is a refusal with these words; what it says.
async fn refuses(counting: &Counting, words: &str) -> String {
    eventually(words, || async {
        let answer = try_get(counting.address, "/n").await?;
        if answer.status == 503 && answer.body.contains(words) { Ok(answer.body) } else { Err(answer.body) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_exits_at_once_has_not_started_and_its_last_words_say_why() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, host) = (lattice.operator().await, lattice.id("a"));
    let script = Script::new("echo starting >&2\necho 'the disk is gone' >&2\nexit 3");
    let error = operator.start_provider(&host, &script.signed.reference()).await.expect_err("it does not start");
    assert!(error.contains("exit status: 3") && error.contains("`the disk is gone`"), "{error}");
    assert!(operator.inventory(&host).await.providers.is_empty());
}

/// A provider of another maker: a process that lives, and a voice on its health subject.
struct Voice {
    signed: Signed<ProviderId>,
    signer: Signer,
    dir: tempfile::TempDir,
}

impl Voice {
    async fn in_lattice(lattice: &TestLattice) -> Self {
        let (dir, signer) = (tempfile::tempdir().expect("a directory"), Signer::default());
        let script = format!("#!/bin/sh\necho $$ > {}/pid\nexec /bin/sleep 600\n", dir.path().display());
        let signed = signer.provider(script.as_bytes(), KEYVALUE);
        let client = lattice.nats.client().await;
        let subject = RpcSubject::Health { id: signed.id, link_name: LinkName::default() };
        let mut checks = lattice_tests::subscribe(&client, subject.render(lattice.name())).await;
        tokio::spawn(async move {
            while let Some(check) = checks.next().await {
                let well = HealthResponse { healthy: true, message: None };
                client.publish(check.reply.expect("somebody asks"), well.encode().into()).await.expect("answered");
            }
        });
        Self { signed, signer, dir }
    }

    fn pid(&self) -> i32 {
        fs::read_to_string(self.dir.path().join("pid")).expect("noted").trim().parse().expect("a process id")
    }
}

/// A deployment manager notes where a provider is when it is told of its start; what it hears before, it cannot place.
#[tokio::test(flavor = "multi_thread")]
async fn its_start_is_told_before_its_health_also_after_a_restart() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, host, voice) = (lattice.operator().await, lattice.id("a"), Voice::in_lattice(&lattice).await);
    let mut events = operator.events().await;
    let id = operator.start_provider(&host, &voice.signed.reference()).await.expect("it starts");
    let (mut told, mut passed) = (Vec::new(), 0);
    while passed < 2 {
        let event = events.next().await.expect("told");
        let name = event.data.name().to_owned();
        match &event.data {
            EventData::ProviderStarted(started) if started.public_key == id => told.push(name),
            EventData::ProviderStopped(stopped) if stopped.public_key == id => told.push(name),
            EventData::HealthCheckPassed(check) if check.public_key == id => {
                told.push(name);
                passed += 1;
                if passed == 1 {
                    eventually("its pid", || async {
                        if voice.dir.path().join("pid").exists() { Ok(()) } else { Err("not noted") }
                    })
                    .await;
                    kill(voice.pid());
                }
            }
            EventData::HealthCheckFailed(check) | EventData::HealthCheckStatus(check) if check.public_key == id => {
                assert_ne!(told.last().map(String::as_str), Some("provider_stopped"), "of one that has ended: {name}");
            }
            _ => {}
        }
    }
    let once = ["provider_started", "health_check_passed"];
    assert_eq!(told, [&once[..], &["provider_stopped"], &once[..]].concat());
    operator.stop_provider(&host, &id).await.expect("it stops at once, however lately it was started");
    assert!(operator.inventory(&host).await.providers.is_empty());
}

/// The archive under the reference is another one by now: whoever starts it again is told so.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_built_again_is_not_taken_for_what_runs() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, host, voice) = (lattice.operator().await, lattice.id("a"), Voice::in_lattice(&lattice).await);
    let (id, reference) = (voice.signed.id, voice.signed.reference());
    operator.start_provider(&host, &reference).await.expect("it starts");
    let again = operator.start_provider(&host, &reference).await.expect_err("it runs");
    assert!(again.contains("is already running under link name `default`"), "{again}");
    let path = voice.signer.provider_as(id, b"#!/bin/sh\nexit 1\n", KEYVALUE).path;
    assert_eq!(path, voice.signed.path, "built in its place");
    let other = operator.start_provider(&host, &reference).await.expect_err("another one runs");
    assert!(other.contains("which is not what") && other.contains("wash stop provider"), "{other}");
    assert_eq!(operator.inventory(&host).await.providers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_answers_has_not_started_and_does_not_run_on() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, host) = (lattice.operator().await, lattice.id("a"));
    let script = Script::new("echo $$ > $dir/pid\nexec /bin/sleep 600");
    let started = Instant::now();
    let error = operator.start_provider(&host, &script.signed.reference()).await.expect_err("it does not start");
    assert!(error.contains("did not answer a health check within 10s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(!runs(script.pid("pid")));
    assert!(operator.inventory(&host).await.providers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_again_and_again_is_called_a_crash_loop_and_serves_when_it_can() {
    let script = Script::store();
    let Some((lattice, counting)) = counting(&script).await else { return };
    let mut events = lattice.operator().await.events().await;
    fs::write(script.file("broken"), "").expect("a file");
    kill(script.pid("pid"));
    let told = refuses(&counting, "crash loop").await;
    assert!(told.contains("exit status: 3") && !told.contains("disk"), "what it said is not for callers: {told}");
    let event = async {
        while let Some(event) = events.next().await {
            if let EventData::ProviderStopped(stopped) = event.data
                && stopped.reason.contains("crash loop")
            {
                return stopped.reason;
            }
        }
        panic!("the events ended");
    };
    let reason = tokio::time::timeout(Duration::from_secs(20), event).await.expect("an event says so");
    assert!(reason.contains("`the disk is gone: postgres://svc:[redacted]@db`"), "{reason}");
    let asked = AskWhy { actor: Some(counting.actor), contract: KEYVALUE.parse().ok(), ..AskWhy::default() };
    let known = lattice.operator().await.control.why(&lattice.id("a"), &asked).await.expect("it says why");
    let dead = known.failures.iter().find(|failure| failure.code == "provider_dead").expect("it remembers");
    assert!(dead.message.contains("the disk is gone") && !dead.message.contains("hunter2"), "{dead:?}");
    let started = Instant::now();
    refuses(&counting, "crash loop").await;
    assert!(started.elapsed() < Duration::from_secs(1), "at once: {:?}", started.elapsed());

    fs::remove_file(script.file("broken")).expect("it was there");
    counts(&counting, 2).await; // with its link, and what it had
}

#[tokio::test(flavor = "multi_thread")]
async fn one_killed_under_load_leaves_nobody_without_an_answer_and_loses_nothing_it_confirmed() {
    let script = Script::store();
    let Some((_lattice, counting)) = counting(&script).await else { return };
    let counting = Arc::new(counting);
    let load: Vec<_> = (0..4)
        .map(|_| {
            let counting = Arc::clone(&counting);
            tokio::spawn(async move {
                let (mut counted, mut refused, mut slowest) = (0_i64, Vec::new(), Duration::ZERO);
                let ends = Instant::now() + Duration::from_secs(5);
                while Instant::now() < ends {
                    let started = Instant::now();
                    let answer = try_get(counting.address, "/load").await.expect("an answer, not a hang");
                    slowest = slowest.max(started.elapsed());
                    match answer.status.as_u16() {
                        200 => counted += 1,
                        503 | 504 => refused.push(answer.body),
                        other => panic!("{other}: {}", answer.body),
                    }
                }
                (counted, refused, slowest)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(800)).await; // the load, which is what is tested, goes on meanwhile
        kill(script.pid("pid"));
    }
    let (mut counted, mut refused, mut slowest) = (0, Vec::new(), Duration::ZERO);
    for client in load {
        let (its, failures, slow) = client.await.expect("no panic");
        counted += its;
        refused.extend(failures);
        slowest = slowest.max(slow);
    }
    let number = eventually("a number", || async {
        let answer = try_get(counting.address, "/load").await?;
        let number = answer.body.trim().strip_prefix("{\"counter\":").and_then(|rest| rest.strip_suffix('}'));
        number.and_then(|number| number.parse::<i64>().ok()).ok_or(answer.body)
    })
    .await;
    println!("killed 3 times: {counted} answered, {} refused, slowest {slowest:?}", refused.len());
    assert!(number > counted, "{counted} were confirmed, {number} are there");
    assert!(number <= counted + i64::try_from(refused.len()).expect("few") + 1, "no call was carried out twice");
    // In flight when the process ended, or while it was down.
    let typed = |refusal: &String| {
        ["deadline exceeded", "process ended", "not running", "has not answered yet"]
            .iter()
            .any(|words| refusal.contains(words))
    };
    assert!(refused.iter().all(typed), "{refused:?}");
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_still_is_unhealthy_soon_and_calls_fail_at_once_until_it_goes_on() {
    let script = Script::store();
    let Some((_lattice, counting)) = counting(&script).await else { return };
    signal(script.pid("pid"), Signal::STOP);
    let told = refuses(&counting, "it is unhealthy: it did not answer").await;
    assert!(told.contains(script.signed.id.as_str()), "{told}");
    let started = Instant::now();
    refuses(&counting, "it is unhealthy").await;
    assert!(started.elapsed() < Duration::from_millis(500), "at once: {:?}", started.elapsed());
    signal(script.pid("pid"), Signal::CONT);
    eventually("a number", || async {
        let answer = try_get(counting.address, "/n").await?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_its_shutdown_is_killed_with_all_it_has_started() {
    let script = Script::new("echo $$ > $dir/pid\n/bin/sleep 600 &\necho $! > $dir/child\nexec $store");
    let Some((lattice, _counting)) = counting(&script).await else { return };
    let (operator, host) = (lattice.operator().await, lattice.id("a"));
    let (pid, child) = (script.pid("pid"), script.pid("child"));
    assert!(runs(pid) && runs(child));
    signal(pid, Signal::STOP);
    operator.stop_provider(&host, &script.signed.id).await.expect("it is stopped");
    eventually_within(Duration::from_secs(5), "the end of both", || {
        std::future::ready(if runs(pid) || runs(child) { Err("one runs") } else { Ok(()) })
    })
    .await;
    assert!(!operator.inventory(&host).await.providers.iter().any(|provider| provider.id == script.signed.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_that_ended_by_itself_has_started_ends_too() {
    let script = Script::new("echo $$ > $dir/pid\n/bin/sleep 600 &\necho $! > $dir/child\nexec $store");
    let Some((_lattice, counting)) = counting(&script).await else { return };
    let child = script.pid("child");
    kill(script.pid("pid"));
    counts(&counting, 2).await;
    assert!(!runs(child) && runs(script.pid("child")));
}

/// The process is `sleep`; the test answers its health checks over NATS.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_it_is_unhealthy_is_not_called_and_its_message_is_for_operators() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let script = Script::new("exec /bin/sleep 600");
    let client = lattice.nats.client().await;
    let subject = RpcSubject::Health { id: script.signed.id, link_name: LinkName::default() };
    let mut checks = client.subscribe(subject.render(&lattice::LatticeId::default())).await.expect("a subscription");
    let answering = tokio::spawn(async move {
        let mut healthy = true;
        while let Some(check) = checks.next().await {
            let message = (!healthy).then(|| "the disk is full: password=hunter2".to_owned());
            let answer = HealthResponse { healthy, message }.encode();
            client.publish(check.reply.expect("a question"), answer.into()).await.expect("an answer leaves");
            healthy = false;
        }
    });
    let operator = lattice.operator().await;
    operator.start_provider(&lattice.id("a"), &script.signed.reference()).await.expect("it answers");
    let counting = Counting::start(&lattice, "a", COUNTERS[0]).await;
    operator.put(&link(&counting.actor, &script.signed.id, KEYVALUE, &[])).await.expect("the link is noted");
    let told = refuses(&counting, "it says that it is unhealthy").await;
    assert!(!told.contains("disk"), "why is not for callers: {told}");
    let asked = AskWhy { actor: Some(counting.actor), contract: KEYVALUE.parse().ok(), ..AskWhy::default() };
    let known = operator.control.why(&lattice.id("a"), &asked).await.expect("it says why").provider;
    assert_eq!(known.and_then(|provider| provider.message).as_deref(), Some("the disk is full: password=[redacted]"));
    answering.abort();
}
