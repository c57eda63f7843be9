//! SIGHUP: settings that stand in files are read anew.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use tonic::Code;

use crate::support::grpc::{Caller, reason};
use crate::support::process::Process;
use crate::support::programs::{Agent, Hub, run_agent, run_hub};
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

/// A file with one setting.
struct Setting {
    _folder: TempDir,
    path: PathBuf,
}

impl Setting {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("setting");
        let setting = Self { _folder: folder, path };
        setting.write(text);
        setting
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }

    /// What is typed for it.
    fn flag(&self) -> String {
        format!("@{}", self.path.display())
    }
}

/// Has it read its files, and waits for what it says then.
async fn reload(process: &Process, says: &str, parts: &[(&str, &str)]) {
    let before = process.log.lines().len();
    process.signal(Signal::HUP);
    process.log.said_after(before, says, parts).await;
}

#[tokio::test]
async fn which_lines_the_hub_logs() {
    let filter = Setting::new("info\n");
    // The flag goes before the variable.
    let env = [("RUST_LOG", "off"), ("HUB_LOG_FILTER", &filter.flag())];
    let hub = Hub::start_at("127.0.0.1:0", &[], &env).await;
    let log = &hub.process.log;
    let caller = Caller::connect(hub.address).await;
    caller.check("nobody", "").await.unwrap_err();
    reload(&hub.process, "reloaded", &[]).await;
    assert_eq!(log.lines().iter().filter(|line| line.field("level") == "DEBUG").count(), 0);
    filter.write("hub=debug");
    reload(&hub.process, "reloaded", &[]).await;
    caller.check("nobody", "").await.unwrap_err();
    log.said("call ended", &[("level", "DEBUG"), ("name", "nobody")]).await;
    filter.write("hub=debgu");
    let stays = "not reloaded: everything stays as it was";
    reload(&hub.process, stays, &[("error", "setting: a log filter is written info")]).await;
}

#[tokio::test]
async fn which_lines_the_agent_logs() {
    let filter = Setting::new("warn");
    let hub = Hub::start(&[]).await;
    let agent = hub.agent("testserver", &["--log-filter", &filter.flag()]).await;
    assert_eq!(agent.process.log.lines().len(), 0);
    filter.write("info");
    reload(&agent.process, "reloaded", &[]).await;
}

#[tokio::test]
async fn how_many_lanes_the_agent_takes() {
    let lanes = Setting::new("1");
    let (hub, mut upstream) = (Hub::start(&[]).await, Upstream::start().await);
    let args = ["--upstream", &upstream.address, "--max-lanes", &lanes.flag()];
    let agent: Agent = hub.agent("testserver", &args).await;
    let first = Caller::connect(hub.address).await;
    let held = tokio::spawn(async move { first.check("testserver", HELD).await });
    upstream.arrival().await;
    let second = Caller::connect(hub.address).await;
    let status = second.check("testserver", "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, Some("limit")));
    lanes.write("0");
    let stays = "not reloaded: everything stays as it was";
    reload(&agent.process, stays, &[("error", "setting: number would be zero")]).await;
    lanes.write("2");
    reload(&agent.process, "reloaded", &[]).await;
    second.check("testserver", "").await.unwrap();
    // Fewer than there are: what runs goes on, and nobody else gets one.
    lanes.write("1");
    reload(&agent.process, "reloaded", &[]).await;
    drop(second);
    let third = Caller::connect(hub.address).await;
    let status = third.check("testserver", "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, Some("limit")));
    upstream.release();
    soon(held).await.unwrap().unwrap();
    third.check("testserver", "").await.unwrap();
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_told_at_the_start() {
    let filter = Setting::new("hub=debgu");
    let flag = filter.flag();
    let says = format!("{}: a log filter is written info", filter.path.display());
    let hub = run_hub(&["--listen", "127.0.0.1:0", "--log-filter", &flag]).await;
    assert!(hub.failure().contains(&says), "{hub:#?}");
    let agent = run_agent(&["--name", "a", "--max-lanes", "@/no/such/file"]).await;
    assert!(agent.failure().contains("cannot read /no/such/file: "), "{agent:#?}");
}
