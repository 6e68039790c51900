//! `up`, `down` and `list`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use palomar_lab::{Lab, Place, PodSpec, Process, read_pods};

use crate::args::UpArgs;
use crate::interrupt::Interrupt;

/// Where the pods are written as the API server would show them, below the lab's directory.
pub const MANIFESTS: &str = "manifests";

/// Builds a lab; removes it at Ctrl-C, unless it is to stay.
pub fn up(args: &UpArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let lab = Lab::new(&args.name, args.topology, pods_of(&args.manifests)?)?;
    interrupt.check()?;
    let manifests = lab.files_dir()?.join(MANIFESTS);
    fs::create_dir(&manifests)?;
    lab.write_manifests(&manifests)?;
    if let Some(port) = args.serve {
        for (_, pod) in lab.pods() {
            serve(pod, port)?;
        }
    }
    println!("node   {:<40} ip netns exec {}", addresses(lab.node()), lab.node().netns().name());
    println!("world  {:<40} ip netns exec {}", addresses(lab.outside()), lab.outside().netns().name());
    for (_, pod) in lab.pods() {
        println!("pod    {:<40} ip netns exec {}   {}", addresses(pod), pod.netns().name(), pod.name());
    }
    println!("manifests with these addresses: {}", manifests.display());
    if args.detach {
        println!("remove it with: palomar-lab down {}", lab.name());
        lab.keep()?;
    } else {
        println!("Ctrl-C removes it");
        interrupt.wait();
        lab.down()?;
    }
    Ok(())
}

/// Removes labs.
pub fn down(names: &[String]) -> anyhow::Result<()> {
    let all = || palomar_lab::list().map(|labs| labs.into_iter().filter(|lab| lab.held_by.is_none()));
    let names = if names.is_empty() { all()?.map(|lab| lab.name).collect() } else { names.to_vec() };
    for name in names {
        println!("{name}: {}", if palomar_lab::down(&name)? { "removed" } else { "nothing there" });
    }
    Ok(())
}

/// Lists labs.
pub fn list() -> anyhow::Result<()> {
    for lab in palomar_lab::list()? {
        let state =
            lab.held_by.map_or("kept, or left behind".to_owned(), |pid| format!("held by process {pid}"));
        println!(
            "{:<16} {} namespaces, {} processes, {state}",
            lab.name,
            lab.namespaces.len(),
            lab.processes.len()
        );
    }
    Ok(())
}

/// Starts an HTTP server in a pod that outlives this process.
pub fn serve(pod: &Place, port: u16) -> anyhow::Result<Process> {
    let this = std::env::current_exe().context("find this program")?;
    Ok(pod.command(this).args(["serve", "--port", &port.to_string(), "--body", pod.short_name()]).spawn()?)
}

/// All addresses of a place on one line.
pub fn addresses(place: &Place) -> String {
    place.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn pods_of(paths: &[PathBuf]) -> anyhow::Result<Vec<PodSpec>> {
    let mut pods = Vec::new();
    for file in paths.iter().map(|path| files_of(path)).collect::<anyhow::Result<Vec<_>>>()?.concat() {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).with_context(|| name.clone())?;
        pods.extend(read_pods(&name, &text)?);
    }
    if paths.is_empty() {
        pods.extend((0..3).map(|number| PodSpec::new("pods", format!("pod-{number}"))));
    }
    if pods.is_empty() {
        bail!("no pods in the manifests");
    }
    Ok(pods)
}

/// The file, or the directory's YAML files by name.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    files.sort();
    Ok(files)
}
