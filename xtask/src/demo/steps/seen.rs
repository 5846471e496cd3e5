//! What a step sees when it looks for itself: hosts, actors and providers as `wash` tells them in JSON, and HTTP.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{World, until};
use crate::{demo::load::Tally, http};

/// How soon the lattice knows what has happened to it.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// Ids of the hosts that answer, with their `zone`.
pub(super) fn hosts(world: &World) -> Result<Vec<(String, String)>> {
    let answer = world.query(&["get", "hosts"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hosts = answer["hosts"].as_array().context("`wash get hosts` lists no `hosts`")?;
    Ok(hosts.iter().map(|host| (text(&host["id"]), text(&host["labels"]["zone"]))).collect())
}

/// Names of the actors of one host.
pub(super) fn actors_of(world: &World, host: &str) -> Result<Vec<String>> {
    let answer = world.query(&["get", "inventory", host])?;
    let inventory = &answer["inventories"][0];
    ensure!(inventory["host_id"] == host, "`wash get inventory` did not answer for `{host}`");
    let actors = inventory["actors"].as_array().cloned().unwrap_or_default();
    Ok(actors.iter().filter_map(|actor| actor["name"].as_str().map(str::to_owned)).collect())
}

/// The id of the one provider of a host.
pub(super) fn provider_of(world: &World, host: &str) -> Result<String> {
    let answer = world.query(&["get", "inventory", host])?;
    let id = answer["inventories"][0]["providers"][0]["id"].as_str();
    id.map(str::to_owned).with_context(|| format!("host `{host}` lists no provider"))
}

/// The id of a started actor, from the claims in the lattice.
pub(super) fn actor(world: &World, name: &str) -> Result<String> {
    let answer = world.query(&["get", "claims"])?;
    let claims = answer["claims"].as_array().context("`wash get claims` lists no `claims`")?;
    let claim = claims.iter().find(|claim| claim["name"] == name);
    let id = claim.and_then(|claim| claim["sub"].as_str());
    id.map(str::to_owned).with_context(|| format!("the lattice knows no claims of `{name}`"))
}

/// Asks like curl, shows it, and wants 200 soon: a link reaches its provider a moment after it was put.
pub(super) fn curl(address: SocketAddr, path: &str, expected: &str) -> Result<()> {
    println!("$ curl http://{address}{path}");
    let response = until("an answer over HTTP", SOON, || match http::get(address, path, SOON) {
        Ok(response) if response.status == 200 => Ok(response),
        Ok(response) => Err(format!("status {}: {}", response.status, response.body.trim())),
        Err(error) => Err(error.to_string()),
    })?;
    println!("{}\n", response.body.trim());
    ensure!(response.body.contains(expected), "the answer should contain `{expected}`");
    Ok(())
}

/// Says the median time of a few single requests.
pub(super) fn time_of_requests(address: SocketAddr) -> Result<String> {
    let tally = Tally::of_single_requests(address, "/timed", 100);
    ensure!(tally.failures.is_empty(), "requests failed: {}", tally.failures.join(", "));
    Ok(format!(
        "{:.2} ms, median of {} requests, connecting included",
        tally.median().as_secs_f64() * 1e3,
        tally.requests()
    ))
}
