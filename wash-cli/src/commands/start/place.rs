//! Where something new is to run, as the user says it.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;

use crate::{arguments::pairs, lattice::connection::ConnectionArgs, terminal::failure::Result};

/// Options which choose the host.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Host: id, its beginning, or part of the friendly name [default: by constraints and auction]
    #[arg(long, value_name = "HOST")]
    pub host_id: Option<String>,
    /// Label the host must have; repeatable
    #[arg(short = 'c', long = "constraint", value_name = "KEY=VALUE", value_parser = pairs::parse)]
    constraints: Vec<(String, String)>,
    /// How long to wait for bids, milliseconds
    #[arg(long, default_value_t = 2000)]
    auction_timeout_ms: u64,
    /// Return as soon as the host has the request, without waiting for the outcome
    #[arg(long)]
    pub skip_wait: bool,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl PlaceArgs {
    /// Labels the host must have.
    ///
    /// # Errors
    /// A label is given twice.
    pub fn constraints(&self) -> Result<BTreeMap<String, String>> {
        pairs::to_map(&self.constraints)
    }

    /// How long to wait for bids.
    pub fn auction_time(&self) -> Duration {
        Duration::from_millis(self.auction_timeout_ms)
    }
}
