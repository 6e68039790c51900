//! The command line as a whole: command lines in, text out.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod bad_servers;
mod commands;
mod config;
mod connections;
mod differences;
mod filters_offline;
mod formats;
mod glance;
mod help;
mod input;
mod mask;
mod masquerade;
mod palomar_api;
mod policy;
mod policy_list;
mod policy_sources;
mod process;
mod raw_filters;
mod requests;
mod server;
mod server_outputs;
mod simulate;
mod simulate_choice;
mod support;
mod tls;
mod usage;
mod why;
