//! The socket for scrapes, and the thread behind it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};
use tokio::sync::oneshot;

use super::exporter::{Exporter, Sources};
use super::flow_metrics::FlowMetrics;
use super::http;
use super::selection::{Identifier, Selection};
use crate::config::{ListenAddress, MetricsArgs};

/// Where metrics are served if metrics are chosen and no address is: on every address, at the port of Hubble's.
const DEFAULT_ADDRESS: ListenAddress = ListenAddress { host: None, port: 9_965 };
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// How often it is looked whether pods have gone.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where scrapers knock: opened before the kernel is touched, answered once everything is in force.
#[derive(Debug)]
pub struct MetricsDoor {
    listener: TcpListener,
    selection: Selection,
    max_series: usize,
}

/// The thread that counts flows and answers scrapes. Dropping it ends it.
#[derive(Debug)]
pub struct MetricsThread {
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

// === impl MetricsDoor ===

impl MetricsDoor {
    /// Listens, if the command line asks for metrics: `None` if it does not.
    pub fn open(args: &MetricsArgs) -> anyhow::Result<Option<Self>> {
        let default = [Selection::DEFAULT.to_owned()];
        let lists = args.metrics.as_deref().unwrap_or(&default);
        let selection = Selection::parse(lists).context("--metrics")?;
        let is_asked_for = args.metrics.is_some() && !selection.is_empty();
        let address = match args.metrics_listen {
            Some(address) => address,
            None if is_asked_for => DEFAULT_ADDRESS,
            None => return Ok(None),
        };
        let listener = listen(address)
            .with_context(|| format!("cannot listen on {address} for metrics (--metrics-listen)"))?;
        if selection.uses(Identifier::Dns) {
            tracing::warn!(
                "--metrics: context dns is empty for every flow: this agent knows no DNS names yet"
            );
        }
        let max_series = usize::try_from(args.metrics_max_series).context("--metrics-max-series")?;
        Ok(Some(Self { listener, selection, max_series }))
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Starts to count and to answer.
    pub fn serve(self, sources: Sources) -> anyhow::Result<MetricsThread> {
        if let Ok(address) = self.address() {
            tracing::info!(%address, "serving metrics in clear text at /metrics");
        }
        let Self { listener, selection, max_series } = self;
        let counts_flows = !selection.is_empty();
        let exporter = Arc::new(Exporter::new(sources, FlowMetrics::new(selection, max_series)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime of the metrics")?;
        let (stop, stopped) = oneshot::channel();
        let run = async move {
            let listener = tokio::net::TcpListener::from_std(listener);
            let listener = match listener {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "metrics cannot be served"),
            };
            if counts_flows {
                let exporter = Arc::clone(&exporter);
                tokio::spawn(async move { exporter.follow().await });
            }
            tokio::spawn(http::serve(listener, Arc::clone(&exporter)));
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    exporter.forget_gone(Instant::now());
                }
            });
            // an error means that the thread's owner has gone, which ends it as well
            let _ = stopped.await;
        };
        let thread = thread::Builder::new()
            .name("metrics".into())
            .spawn(move || runtime.block_on(run))
            .context("cannot start a thread")?;
        Ok(MetricsThread { thread: Some(thread), stop: Some(stop) })
    }
}

fn listen(address: ListenAddress) -> io::Result<TcpListener> {
    let ListenAddress { host, port } = address;
    match host {
        Some(host) => bind((host, port).into()),
        None => bind((Ipv6Addr::UNSPECIFIED, port).into())
            // a node without IPv6
            .or_else(|_| bind((Ipv4Addr::UNSPECIFIED, port).into())),
    }
}

/// Listens; `[::]` stands for IPv4 as well, whatever the node's setting.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

// === impl MetricsThread ===

impl Drop for MetricsThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that serves metrics has panicked");
        }
    }
}
