//! Every metric of a host: its name, its labels, its meaning, and where its value is.
//!
//! Reads live state; nothing is stored for the page. Invariant: what no longer runs is not on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use claims::ActorId;
use contracts::Budget;
use lattice::client::Inbox;

use super::{
    sources::Sources,
    text::{Family, Page},
};
use crate::{
    actors::{ActorCalls, RunningActor},
    inventory::VERSION,
    meters::{CallMeter, StartStep},
    nats::Connection,
    providers::Home,
};

/// The page. Takes as long as there are actors; not for an async thread that others wait for.
#[must_use]
pub fn render(sources: &Sources, synced: bool) -> String {
    let mut page = Page::default();
    host(&mut page, sources, synced);
    let actors = sources.actors.grouped();
    actor_state(&mut page, &actors);
    calls(&mut page, &actors, &ARRIVED);
    calls(&mut page, &actors, &MADE);
    starts(&mut page, sources);
    providers(&mut page, sources);
    page.into_text()
}

/// The names of one direction.
struct Direction {
    meter: fn(&ActorCalls) -> &CallMeter,
    calls: (&'static str, &'static str),
    duration: (&'static str, &'static str),
}

const ARRIVED: Direction = Direction {
    meter: |calls| &calls.arrived,
    calls: ("lattice_calls_total", "Calls an actor of this host got, by how they ended."),
    duration: (
        "lattice_call_duration_seconds",
        "How long they took, failures included; until the head of a streamed response.",
    ),
};

const MADE: Direction = Direction {
    meter: |calls| &calls.made,
    calls: ("lattice_outgoing_calls_total", "Calls an actor of this host made, by how they ended."),
    duration: ("lattice_outgoing_call_duration_seconds", "How long they took, failures included."),
};

fn host(page: &mut Page, sources: &Sources, synced: bool) {
    let identity = &sources.identity;
    let lattice = sources.identity.lattice.to_string();
    let labels = [
        ("host", identity.host_id.as_str()),
        ("name", &identity.friendly_name),
        ("lattice", &lattice),
        ("version", VERSION),
    ];
    page.gauge("lattice_host_info", "This host; always 1.").value(&labels, 1);
    let started = SystemTime::now().checked_sub(identity.started.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
    let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    page.gauge("lattice_host_start_time_seconds", "When it started, since the Unix epoch.").value(&[], started);
    page.gauge("lattice_state_synced", "Whether its state was compared with JetStream since it started.")
        .value(&[], u8::from(synced));
    page.gauge("lattice_peers", "Other hosts it has heard of lately.")
        .value(&[], sources.peers.current(Instant::now()).len());
    page.counter(
        "lattice_peer_messages_dropped_total",
        "What was told about other hosts and not read: too much of it.",
    )
    .value(&[], sources.intake.dropped());
    page.gauge("lattice_links", "Links it knows.").value(&[], sources.tables().links.all().len());
    let usage = sources.tables().usage();
    let mut entries = page.gauge("lattice_state_entries", "Entries of lattice state it holds, by kind.");
    for (kind, usage) in &usage {
        entries.value(&[("kind", kind)], usage.count);
    }
    let mut bytes = page.gauge("lattice_state_bytes", "Bytes of their keys and values.");
    for (kind, usage) in &usage {
        bytes.value(&[("kind", kind)], usage.bytes);
    }
    page.counter("lattice_state_refused_total", "Changes it did not take because there would be more than may be.")
        .value(&[], sources.tables().refused());
    page.counter("lattice_events_dropped_total", "Events that were not sent because too many waited for NATS.")
        .value(&[], sources.events.dropped());
    page.gauge("lattice_pool_instances", "Calls that hold an instance now, over all actors.")
        .value(&[], sources.runtime.running());
    page.gauge("lattice_pool_max_instances", "Instances that may be alive at once, over all actors.")
        .value(&[], sources.runtime.reservation().max_instances);
    memory(page, sources);
    if let Some(counts) = sources.tracer.counts() {
        page.counter("lattice_spans_exported_total", "Spans that the receiver took.")
            .value(&[], counts.exported.load(Ordering::Relaxed));
        page.counter("lattice_spans_dropped_total", "Spans that were not sent.")
            .value(&[], counts.dropped.load(Ordering::Relaxed));
    }
    let mut responses = page.counter(
        "lattice_http_responses_total",
        "Answers of actors to requests of HTTP servers in this host, by class of status; `none` without an answer, `broken` for one that \
         ended too early.",
    );
    for (class, count) in sources.meters.responses() {
        responses.value(&[("status", class)], count);
    }
    let connections = sources.nats.as_ref().map(|nats| [("control", &nats.ctl), ("rpc", &nats.calls)]);
    let of_connections = |mut family: Family<'_>, value: fn(&Connection) -> u64| {
        for (role, connection) in connections.into_iter().flatten() {
            family.value(&[("role", role)], value(connection));
        }
    };
    of_connections(page.gauge("lattice_nats_connected", "Whether a connection to NATS is up."), |connection| {
        u64::from(*connection.connected.borrow())
    });
    of_connections(page.counter("lattice_nats_reconnects_total", "How often it came back."), Connection::reconnects);
}

fn memory(page: &mut Page, sources: &Sources) {
    let (guests, bodies) = (sources.runtime.guest_memory(), Budget::bodies());
    page.gauge("lattice_guest_memory_bytes", "Linear memories and tables of all guests.").value(&[], guests.0);
    page.gauge("lattice_guest_memory_max_bytes", "How much they may have.").value(&[], guests.1);
    page.gauge("lattice_body_memory_bytes", "Bodies of all calls under way.").value(&[], bodies.used());
    page.gauge("lattice_body_memory_max_bytes", "How much they may have.").value(&[], bodies.limit());
    page.counter("lattice_nats_dropped_total", "Messages from NATS that came faster than they were taken.")
        .value(&[], Inbox::all_dropped());
    page.counter("lattice_body_memory_refused_total", "Bodies that there was no room for.")
        .value(&[], bodies.refused());
}

/// Actors with their versions.
type Running = BTreeMap<ActorId, Vec<Arc<RunningActor>>>;

fn actor_state(page: &mut Page, actors: &Running) {
    let mut info = page.gauge("lattice_actor_info", "An actor that runs here; always 1.");
    for (id, versions) in actors {
        let named: BTreeSet<_> = versions.iter().map(|actor| (&actor.shown.name, &actor.image_ref)).collect();
        for (name, reference) in named {
            info.value(&[("actor", id.as_str()), ("name", name), ("image_ref", reference)], 1);
        }
    }
    let of_actors = |mut family: Family<'_>, value: fn(&RunningActor) -> u64| {
        for (id, versions) in actors {
            family.value(&[("actor", id.as_str())], versions.iter().map(|actor| value(actor)).sum::<u64>());
        }
    };
    of_actors(page.gauge("lattice_actor_instances", "Its calls that hold an instance now."), |actor| {
        actor.guest.running().into()
    });
    of_actors(page.gauge("lattice_actor_max_instances", "How many may."), |actor| actor.guest.max_instances().into());
    of_actors(page.gauge("lattice_actor_queued_calls", "Its calls that wait for an instance."), |actor| {
        actor.guest.queued() as u64
    });
    let mut code = page.gauge("lattice_actor_code_in_memory", "Whether its compiled code is in memory.");
    for (id, versions) in actors {
        let any = versions.iter().any(|actor| actor.guest.has_code_in_memory());
        code.value(&[("actor", id.as_str())], u64::from(any));
    }
    let mut breaches = page.counter("lattice_limit_breaches_total", "Calls of an actor that broke a limit.");
    for (id, versions) in actors {
        let mut counts = BTreeMap::new();
        for (limit, count) in versions.iter().flat_map(|actor| actor.guest.breaches()) {
            *counts.entry(limit).or_insert(0) += count;
        }
        for (limit, count) in counts {
            breaches.value(&[("actor", id.as_str()), ("limit", &limit.to_string())], count);
        }
    }
}

/// The versions of an actor share what is counted of its calls.
fn calls(page: &mut Page, actors: &Running, direction: &Direction) {
    let actors = || actors.iter().filter_map(|(id, versions)| Some((id, versions.first()?)));
    let mut family = page.counter(direction.calls.0, direction.calls.1);
    for (id, actor) in actors() {
        for row in (direction.meter)(&actor.calls).counted() {
            let labels = [
                ("actor", id.as_str()),
                ("contract", row.contract),
                ("operation", row.operation),
                ("outcome", row.outcome),
            ];
            family.value(&labels, row.count);
        }
    }
    let mut family = page.histogram(direction.duration.0, direction.duration.1);
    for (id, actor) in actors() {
        let snapshot = (direction.meter)(&actor.calls).duration.snapshot();
        if snapshot.count > 0 {
            family.distribution(&[("actor", id.as_str())], &snapshot);
        }
    }
}

fn starts(page: &mut Page, sources: &Sources) {
    let help = "How long the steps of starting an actor took: `fetch`, `verify`, `compile`, and `total` of a start.";
    let mut family = page.histogram("lattice_actor_start_duration_seconds", help);
    for step in StartStep::ALL {
        family.distribution(&[("step", step.name())], &sources.meters.steps(step));
    }
}

fn providers(page: &mut Page, sources: &Sources) {
    let running = sources.providers.all();
    let mut info = page.gauge("lattice_provider_info", "A provider that runs here; always 1.");
    for provider in &running {
        let spec = &provider.spec;
        let home = match provider.home {
            Home::Embedded(_) => "embedded",
            Home::Process(_) => "process",
        };
        let labels = [
            ("provider", spec.id.as_str()),
            ("link_name", spec.link_name.as_str()),
            ("contract", spec.contract.as_str()),
            ("name", &spec.name),
            ("image_ref", &spec.image_ref),
            ("home", home),
        ];
        info.value(&labels, 1);
    }
    sources.meters.forget_restarts(|id, name| sources.providers.get(id, name).is_some());
    let each = |mut family: Family<'_>, value: &dyn Fn(usize) -> u64| {
        for (index, provider) in running.iter().enumerate() {
            let spec = &provider.spec;
            family.value(&[("provider", spec.id.as_str()), ("link_name", spec.link_name.as_str())], value(index));
        }
    };
    each(page.gauge("lattice_provider_up", "Whether it runs now; 0 while its process is started again."), &|index| {
        u64::from(running[index].check_reachable().is_ok())
    });
    each(page.gauge("lattice_provider_healthy", "Whether its last health check passed."), &|index| {
        u64::from(running[index].is_healthy())
    });
    each(page.counter("lattice_provider_restarts_total", "How often its process ended by itself."), &|index| {
        let spec = &running[index].spec;
        sources.meters.restarts_of(spec.id, spec.link_name.clone())
    });
}
