//! What one client writes down: a line for each request, in the form that `check-history` reads.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

/// One client's own file.
pub(crate) struct Notebook {
    client: String,
    file: File,
    began: Instant,
    number: u64,
}

/// The moment a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent(u64);

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Came {
    /// `None` when the line broke.
    pub(crate) status: Option<u16>,
    /// The body as JSON.
    pub(crate) body: Value,
}

impl Came {
    /// Whether it was done.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    /// A string of the body.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        Some(self.body.get(name)?.as_str()?.to_owned())
    }
}

impl Notebook {
    /// A client's file in `folder`. Times count from `began`, which all clients share.
    pub(crate) fn open(folder: &Path, client: &str, began: Instant) -> Self {
        let file = File::create(folder.join(format!("{client}.jsonl"))).expect("a file for the records");
        Self { client: client.to_owned(), file, began, number: 0 }
    }

    /// A name for the next request, which no other has.
    pub(crate) fn next_id(&mut self) -> String {
        self.number += 1;
        format!("{}-{}", self.client, self.number)
    }

    /// Now, before a request is sent.
    pub(crate) fn now(&self) -> Sent {
        Sent(u64::try_from(self.began.elapsed().as_micros()).expect("a run ends within ages"))
    }

    /// Writes down a request that ended just now.
    pub(crate) fn note(&mut self, op: &str, id: &str, sent: Sent, came: &Came, what: Value) {
        let Sent(ended) = self.now();
        let code = came.body.get("code").and_then(Value::as_str).filter(|_| !came.is_done());
        let mut line = json!({"op": op, "id": id, "sent": sent.0, "ended": ended, "status": came.status, "code": code});
        let Value::Object(more) = what else { panic!("{what} is no object") };
        line.as_object_mut().expect("an object").extend(more);
        self.line(&line);
    }

    /// Writes a line as it is.
    pub(crate) fn line(&mut self, line: &Value) {
        // One write to a file without a buffer: it is with the kernel when this returns.
        self.file.write_all(format!("{line}\n").as_bytes()).expect("the record is written");
    }
}
