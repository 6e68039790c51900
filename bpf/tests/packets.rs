//! The pod programs over crafted packets, without a network. Needs root, and fails without.

#[cfg(test)]
use packets::{craft, datapath, parser, told, world};

#[cfg(test)]
mod packets {
    pub mod craft;
    pub mod datapath;
    pub mod parser;
    pub mod told;
    pub mod world;

    mod agreement;
    mod connections;
    mod departures;
    mod fragments;
    mod limits;
    mod policy;
    mod related;
    mod services;
    mod source;
    mod truncation;
}
