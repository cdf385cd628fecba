//! A full disk: writes are refused by name, everything else goes on, and space mends it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{Authority, Launch, Service};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{eventually, is_problem, revoke_all, still_has, until_known};

/// A small file system in memory, unmounted when dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one.
    ///
    /// # Panics
    /// If this user may not: a full disk that is not tried is not known to be survived.
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            mounted,
            "a small disk could not be mounted: run this suite as root, or within `unshare --user --map-root-user --mount`"
        );
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to the last byte, and returns the file to remove.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).expect("the disk takes a file");
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "the disk stays mounted");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_by_name_and_nothing_else() {
    let disk = SmallDisk::mount();
    let launch = Launch { home: Some(disk.path().to_owned()), ..Launch::default() };
    let mut authority = Authority::launch(launch);
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 5_000).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    let mut revoked = revoke_all(&authority, &["alice"]).await;
    service.refuses_as_revoked(alice.token()).await;

    until_known(&authority, &service).await;

    // The log grows until it needs space that is not there. What is acknowledged meanwhile counts.
    let ballast = disk.fill();
    let mut index = 0;
    let refused = eventually("a write is refused", async || {
        index += 1;
        let answer = authority.admin().post("/v1/revocations", json!({"targets": [format!("subject:u{index}")]})).await;
        if answer.status == 201 {
            revoked.push(answer.text("position").to_owned());
            return None;
        }
        Some(answer)
    })
    .await;
    is_problem(&refused, 503, "disk_full");
    assert!(refused.text("detail").contains("reads go on"), "{}", refused.body);
    assert!(refused.text("hint").contains("make space on the data directory's disk"), "{}", refused.body);
    let login = authority.admin().post("/v1/sessions", json!({"subject": "late", "device": {"id": "x"}})).await;
    is_problem(&login, 503, "disk_full");

    // Reads go on, tokens are issued, and the verifier stays fresh by round trips that write nothing.
    still_has(&authority, &revoked).await;
    let next = authority.next_token(bob.sid()).await.expect_status(200);
    authority.next_token(alice.sid()).await.expect_status(403);
    let full_since = std::time::Instant::now();
    eventually("the service outlives its staleness", async || {
        service.accepts(bob.token()).await;
        service.accepts(next.token()).await;
        assert_eq!(service.call(alice.token()).await.status, 401);
        (full_since.elapsed() > std::time::Duration::from_millis(11_000)).then_some(())
    })
    .await;

    // A power cut on a full disk loses nothing either.
    authority.kill();
    std::fs::remove_file(&ballast).expect("make space");
    authority.restart();
    still_has(&authority, &revoked).await;
    service.ready().await;

    // Again full, and this time space comes back under the running authority: writes go on alone.
    let ballast = disk.fill();
    eventually("a write is refused", async || {
        index += 1;
        let answer = authority.admin().post("/v1/revocations", json!({"targets": [format!("subject:u{index}")]})).await;
        if answer.status == 201 {
            revoked.push(answer.text("position").to_owned());
        }
        (answer.status == 503).then_some(())
    })
    .await;
    std::fs::remove_file(&ballast).expect("make space");
    let answer = eventually("writes go on", async || {
        let answer = authority.admin().post("/v1/revocations", json!({"targets": ["subject:bob"]})).await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    revoked.push(answer.text("position").to_owned());
    service.refuses_as_revoked(bob.token()).await;
    assert_eq!(authority.interrupt(), Some(0));
    authority.restart();
    still_has(&authority, &revoked).await;
}
