//! Nodes and pods made of network namespaces, for the demo and the tests.
//!
//! A [`Lab`] is a node with pods on it and a world outside, wired as a CNI would wire them, in which real programs send
//! real packets. Whatever a lab creates is written down under `/run/palomar-lab` before it is created, so that the
//! leftovers of a killed run are found and removed by the next run of that name or by `palomar-lab down`; nothing else
//! is ever removed or killed. Everything here needs root.
//!
//! ```no_run
//! use palomar_lab::{Lab, PodSpec, Topology};
//!
//! let pods = vec![PodSpec::new("np-demo", "web"), PodSpec::new("np-demo", "frontend")];
//! let lab = Lab::new("example", Topology::Routed, pods)?;
//! let web = lab.pod("np-demo/web")?;
//! let _server = web.serve_http(8080)?;
//! let answer = lab.pod("np-demo/frontend")?.get(&web.url(8080))?;
//! assert_eq!(answer, "web\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
mod command;
mod error;
mod fnv;
mod ip;
mod lab;
mod ledger;
mod manifests;
mod name;
mod netns;
mod place;
mod process;
mod service;
mod spec;
mod sysctl;
pub mod traffic;
mod wiring;

pub use command::{NetnsCommand, Output, Process};
pub use error::LabError;
pub use lab::Lab;
pub use ledger::{LabStatus, STATE_DIR, down, list};
pub use manifests::{read_pods, write_manifest};
pub use name::LabName;
pub use netns::Netns;
pub use place::{Place, url};
pub use service::NodePortSource;
pub use spec::{PodSpec, Topology};
