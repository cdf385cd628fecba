//! The demonstration, step by step. Each asserts what is refused and what still passes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::authority::{Authority, Session};
use super::foreign::{self, ForeignIssuer};
use super::probe::{Probe, passes, refused};
use super::process::{Children, Process, Role};
use super::proxy::Proxy;
use super::service::{Answer, Service};
use super::theft::StolenKey;
use super::{Measured, Problem, Report};
use crate::credential::Credential;

/// Runs every step in order. The first that fails is the last.
pub(crate) async fn run(children: &Children, report: &mut Report) -> Result<(), Problem> {
    let mut stage = step(report, "everything starts", Stage::set(children)).await?;
    let users = step(report, "two users on four devices are let in", stage.users()).await?;
    step(report, "one token is revoked, its sibling passes", stage.one_token(&users)).await?;
    step(report, "a session is ended, the user's other one passes", stage.one_session(&users)).await?;
    let alice = step(report, "log out everywhere, and a login at once works", stage.log_out_everywhere(&users)).await?;
    let bob = step(report, "a role changes, nobody logs in again", stage.change_role(&users, &alice)).await?;
    step(report, "an open WebSocket is closed, another stays", stage.close_socket(&alice, &bob)).await?;
    step(report, "a foreign issuer's token is revoked, its sibling passes", stage.foreign_token()).await?;
    let bob = step(report, "a stolen signing key is killed, forgeries are refused", stage.kill_key(&bob)).await?;
    stage = step(report, "the authority is killed with -9, nothing is forgotten", stage.crash(&bob)).await?;
    step(report, "a verifier cut off from the feed stops in time, with 503", stage.cut_off(&bob)).await?;
    step(report, "and recovers, with what it missed", stage.recover(&bob)).await
}

async fn step<T>(
    report: &mut Report,
    name: &str,
    work: impl Future<Output = Result<(Measured, T), Problem>>,
) -> Result<T, Problem> {
    let (measured, value) = work.await.map_err(|problem| problem.in_step(name))?;
    report.end(name, Ok(measured));
    Ok(value)
}

/// Two users, each logged in on two devices.
struct Users {
    alice_phone: Session,
    alice_laptop: Session,
    bob_phone: Session,
    bob_tablet: Session,
}

/// Everything that runs.
struct Stage {
    children: Children,
    address: SocketAddr,
    authority: Authority,
    authority_process: Process,
    follower: Credential,
    processes: Vec<Process>,
    /// The services behind an unbroken wire: HTTP and a queue.
    near: Vec<Service>,
    /// The service behind the proxy.
    edge: Service,
    proxy: Proxy,
    socket_url: String,
    foreign: ForeignIssuer,
    /// Every token that was revoked so far, to be asked about again after the crash.
    revoked: Vec<String>,
    /// The token that was revoked while the wire was cut.
    missed: Option<String>,
}

impl Stage {
    async fn set(children: &Children) -> Result<(Measured, Self), Problem> {
        let data = children.directory().join("data");
        let authority_process = start_authority(children, "127.0.0.1:0").await?;
        let url = authority_process.url()?;
        let address = url.trim_start_matches("http://").parse().map_err(|_| "the authority names no address")?;
        let authority = Authority::new(&url, Credential::from_file(&data.join("admin.credential"))?)?;
        let follower = authority.client("demo-services", &["annul.follow", "annul.read"]).await?;
        let foreign = ForeignIssuer::new()?;
        authority.add_issuer(foreign::ISSUER, foreign.jwks()).await?;
        let proxy = Proxy::start(address).await?;

        let behind = |name, role, authority, max_staleness| Behind { name, role, authority, max_staleness };
        let through_proxy = proxy.url();
        let (api, mut worker, socket, edge) = futures::try_join!(
            start_service(children, &follower, behind("api", "api", &url, STALENESS)),
            start_service(children, &follower, behind("worker", "worker", &url, STALENESS)),
            start_service(children, &follower, behind("socket", "socket", &url, STALENESS)),
            start_service(children, &follower, behind("edge", "api", &through_proxy, EDGE_STALENESS)),
        )?;
        let stage = Self {
            children: children.clone(),
            address,
            authority,
            authority_process,
            follower,
            near: vec![Service::http("api", &api)?, Service::worker("worker", &mut worker)?],
            edge: Service::http("edge", &edge)?,
            socket_url: format!("{}/socket", socket.url()?.replace("http://", "ws://")),
            processes: vec![api, worker, socket, edge],
            proxy,
            foreign,
            revoked: Vec::new(),
            missed: None,
        };
        Ok((Measured::default(), stage))
    }

    fn everywhere(&self) -> Vec<Service> {
        self.near.iter().chain([&self.edge]).cloned().collect()
    }

    async fn users(&self) -> Result<(Measured, Users), Problem> {
        let users = Users {
            alice_phone: self.authority.open("alice", "phone", &["reader"]).await?,
            alice_laptop: self.authority.open("alice", "laptop", &["reader"]).await?,
            bob_phone: self.authority.open("bob", "phone", &["admin"]).await?,
            bob_tablet: self.authority.open("bob", "tablet", &["admin"]).await?,
        };
        for session in [&users.alice_phone, &users.alice_laptop, &users.bob_phone, &users.bob_tablet] {
            passes(&self.everywhere(), &session.token).await?;
        }
        Ok((Measured::default(), users))
    }

    async fn one_token(&mut self, users: &Users) -> Result<(Measured, ()), Problem> {
        let sibling = self.next_token(&users.alice_phone).await?;
        let token = &users.alice_phone.token;
        let probe = Probe::start(&self.everywhere(), token).await?;
        let acknowledged = self.authority.revoke(&json!({ "token": token, "reason": "demonstration" })).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        for still_good in [&sibling, &users.alice_laptop.token, &users.bob_phone.token] {
            passes(&self.everywhere(), still_good).await?;
        }
        self.revoked.push(token.clone());
        Ok((measured, ()))
    }

    async fn one_session(&mut self, users: &Users) -> Result<(Measured, ()), Problem> {
        let session = &users.alice_laptop;
        let probe = Probe::start(&self.everywhere(), &session.token).await?;
        let acknowledged = self.authority.end(&session.sid).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        self.gets_no_token(session).await?;
        let other = self.next_token(&users.alice_phone).await?;
        passes(&self.everywhere(), &other).await?;
        passes(&self.everywhere(), &users.bob_tablet.token).await?;
        self.revoked.push(session.token.clone());
        Ok((measured, ()))
    }

    /// The login follows the acknowledgement without a pause, so it also outruns the feed.
    async fn log_out_everywhere(&mut self, users: &Users) -> Result<(Measured, Session), Problem> {
        let phone = self.next_token(&users.alice_phone).await?;
        let tablet = self.authority.open("alice", "tablet", &["reader"]).await?;
        let probe = Probe::start(&self.everywhere(), &phone).await?;
        let acknowledged = self
            .authority
            .revoke(&json!({ "targets": ["subject:alice"], "cutoff": "now", "reason": "demonstration" }))
            .await?;
        let login = self.authority.open("alice", "phone", &["reader"]).await?;
        passes(&self.everywhere(), &login.token).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        refused(&self.everywhere(), &tablet.token).await?;
        for session in [&users.alice_phone, &tablet] {
            self.gets_no_token(session).await?;
        }
        passes(&self.everywhere(), &login.token).await?;
        passes(&self.everywhere(), &users.bob_phone.token).await?;
        self.revoked.extend([phone, tablet.token]);
        Ok((measured, login))
    }

    async fn change_role(&mut self, users: &Users, alice: &Session) -> Result<(Measured, Session), Problem> {
        let probe = Probe::start(&self.everywhere(), &users.bob_phone.token).await?;
        let acknowledged = self.authority.set_roles("bob", &["reader"]).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        refused(&self.everywhere(), &users.bob_tablet.token).await?;
        for session in [&users.bob_tablet, &users.bob_phone] {
            let token = self.next_token(session).await?;
            for service in self.everywhere() {
                let expected = Answer::Accepted { subject: "bob".to_owned(), roles: vec!["reader".to_owned()] };
                let answer = service.show(&token).await?;
                if answer != expected {
                    return Err(format!("{} answered {answer:?} after the role changed", service.name).into());
                }
            }
        }
        passes(&self.everywhere(), &alice.token).await?;
        self.revoked.extend([users.bob_phone.token.clone(), users.bob_tablet.token.clone()]);
        let sid = users.bob_phone.sid.clone();
        let token = self.next_token(&users.bob_phone).await?;
        Ok((measured, Session { sid, token }))
    }

    async fn close_socket(&mut self, alice: &Session, bob: &Session) -> Result<(Measured, ()), Problem> {
        let mut closes = self.connect(&alice.token).await?;
        let mut stays = self.connect(&bob.token).await?;
        echoes(&mut closes).await?;
        let waiting = tokio::spawn(async move { until_closed(&mut closes).await });
        let acknowledged = self.authority.end(&alice.sid).await?;
        let closed = timeout(PATIENCE, waiting).await.map_err(|_| "the connection stays open")?;
        let closed: Instant = closed.map_err(|error| Problem::from(error.to_string()))??;
        echoes(&mut stays).await?;
        if self.connect(&alice.token).await.is_ok() {
            return Err("the revoked token opened another connection".into());
        }
        self.revoked.push(alice.token.clone());
        let after = closed.saturating_duration_since(acknowledged.at);
        Ok((Measured { refusals: vec![("socket".to_owned(), after)] }, ()))
    }

    async fn foreign_token(&mut self) -> Result<(Measured, ()), Problem> {
        let token = self.foreign.token("carol", "carol-1")?;
        let sibling = self.foreign.token("carol", "carol-2")?;
        passes(&self.everywhere(), &sibling).await?;
        let probe = Probe::start(&self.everywhere(), &token).await?;
        let acknowledged = self.authority.revoke(&json!({ "token": token, "reason": "demonstration" })).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        passes(&self.everywhere(), &sibling).await?;
        self.revoked.push(token);
        Ok((measured, ()))
    }

    /// The thief's first token is let in: the theft is real. What is signed after the kill, dated
    /// after it and for a subject nobody revoked, is refused all the same.
    async fn kill_key(&mut self, bob: &Session) -> Result<(Measured, Session), Problem> {
        let directory = self.children.directory();
        let thief = StolenKey::steal(&directory.join("data"), &directory.join("stolen")).await?;
        let before = thief.forge("mallory", "1:1")?;
        passes(&self.everywhere(), &before).await?;
        let probe = Probe::start(&self.everywhere(), &bob.token).await?;
        let acknowledged = self.authority.kill_key(thief.kid()).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        let position = acknowledged.answer["position"].as_str().unwrap_or_default();
        let after = thief.forge("mallory", position)?;
        for forged in [&before, &after] {
            refused(&self.everywhere(), forged).await?;
        }
        let token = self.next_token(bob).await?;
        passes(&self.everywhere(), &token).await?;
        let login = self.authority.open("erin", "phone", &["reader"]).await?;
        passes(&self.everywhere(), &login.token).await?;
        self.revoked.extend([before, after, bob.token.clone()]);
        Ok((measured, Session { sid: bob.sid.clone(), token }))
    }

    async fn crash(mut self, bob: &Session) -> Result<(Measured, Self), Problem> {
        self.authority_process.kill().await?;
        passes(&self.near, &bob.token).await?;
        for token in &self.revoked {
            refused(&self.near, token).await?;
        }
        self.authority_process = start_authority(&self.children, &self.address.to_string()).await?;

        let url = self.authority_process.url()?;
        let late = Behind { name: "late", role: "api", authority: &url, max_staleness: STALENESS };
        let process = start_service(&self.children, &self.follower, late).await?;
        let late = Service::http("late", &process)?;
        self.processes.push(process);
        for token in &self.revoked {
            refused(std::slice::from_ref(&late), token).await?;
        }
        let next = self.next_token(bob).await?;
        passes(std::slice::from_ref(&late), &next).await?;
        self.near.push(late);

        let victim = self.authority.open("frank", "phone", &["reader"]).await?;
        let probe = Probe::start(&self.near, &victim.token).await?;
        let acknowledged = self.authority.end(&victim.sid).await?;
        let measured = probe.refused_since(acknowledged.at).await?;
        passes(&self.near, &bob.token).await?;
        self.revoked.push(victim.token);
        Ok((measured, self))
    }

    /// The edge has not heard of the revocation, so it goes on accepting until its view is too old.
    /// Then it says that it cannot know, except of what it does know.
    async fn cut_off(&mut self, bob: &Session) -> Result<(Measured, ()), Problem> {
        let victim = self.authority.open("dave", "phone", &["reader"]).await?;
        passes(std::slice::from_ref(&self.edge), &victim.token).await?;
        let known = self.authority.open("gina", "phone", &["reader"]).await?;
        let probe = Probe::start(std::slice::from_ref(&self.edge), &known.token).await?;
        probe.refused_since(self.authority.end(&known.sid).await?.at).await?;

        let probe = Probe::start(&self.near, &victim.token).await?;
        self.proxy.cut();
        let acknowledged = self.authority.revoke(&json!({ "targets": ["subject:dave"], "cutoff": "now" })).await?;
        let mut measured = probe.refused_since(acknowledged.at).await?;

        let stopped = loop {
            let asked = Instant::now();
            match self.edge.show(&victim.token).await? {
                Answer::Accepted { .. } if asked < acknowledged.at + EDGE_STALENESS => {}
                Answer::CannotKnow => break acknowledged.at.elapsed(),
                other => return Err(format!("cut off, edge answered {other:?} to a later request").into()),
            }
        };
        measured.refusals.push(("edge".to_owned(), stopped));
        refused(std::slice::from_ref(&self.edge), &known.token).await?;
        if self.edge.show(&bob.token).await? != Answer::CannotKnow {
            return Err("edge vouches for a token by a view that is too old".into());
        }
        passes(&self.near, &bob.token).await?;
        self.missed = Some(victim.token);
        Ok((measured, ()))
    }

    async fn recover(&mut self, bob: &Session) -> Result<(Measured, ()), Problem> {
        let missed = self.missed.take().ok_or("nothing was missed")?;
        let mended = Instant::now();
        self.proxy.mend();
        let refused_after = loop {
            match self.edge.show(&missed).await? {
                Answer::Refused => break mended.elapsed(),
                Answer::CannotKnow if mended.elapsed() < PATIENCE => {}
                other => return Err(format!("recovering, edge answered {other:?} to what it missed").into()),
            }
        };
        passes(std::slice::from_ref(&self.edge), &bob.token).await?;
        Ok((Measured { refusals: vec![("edge".to_owned(), refused_after)] }, ()))
    }

    async fn next_token(&self, session: &Session) -> Result<String, Problem> {
        let token = self.authority.next_token(&session.sid).await?;
        token.ok_or_else(|| "a session that lives got no token".into())
    }

    async fn gets_no_token(&self, session: &Session) -> Result<(), Problem> {
        match self.authority.next_token(&session.sid).await? {
            None => Ok(()),
            Some(_) => Err("a session that is over got a token".into()),
        }
    }

    async fn connect(&self, token: &str) -> Result<Socket, Problem> {
        let failed = |error: tokio_tungstenite::tungstenite::Error| Problem::from(error.to_string());
        let mut request = self.socket_url.as_str().into_client_request().map_err(failed)?;
        let value = format!("Bearer {token}").parse().map_err(|_| "the token is no header value")?;
        request.headers_mut().insert("authorization", value);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.map_err(failed)?;
        Ok(socket)
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn echoes(socket: &mut Socket) -> Result<(), Problem> {
    let failed = |error: tokio_tungstenite::tungstenite::Error| Problem::from(error.to_string());
    socket.send(Message::Text(Utf8Bytes::from_static("hello"))).await.map_err(failed)?;
    match timeout(PATIENCE, socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) if text.as_str() == "hello" => Ok(()),
        _ => Err("an open connection does not answer".into()),
    }
}

async fn until_closed(socket: &mut Socket) -> Result<Instant, Problem> {
    match socket.next().await {
        None | Some(Ok(Message::Close(_)) | Err(_)) => Ok(Instant::now()),
        Some(Ok(_)) => Err("the connection said something else before it closed".into()),
    }
}

async fn start_authority(children: &Children, listen: &str) -> Result<Process, Problem> {
    let data = children.directory().join("data");
    let arguments = ["authority", "--listen", listen, "--data", &data.display().to_string()].map(str::to_owned);
    children.start(Role { name: "authority", arguments: arguments.into(), credential: None }).await
}

/// A service and what it follows.
struct Behind<'a> {
    name: &'a str,
    role: &'a str,
    authority: &'a str,
    max_staleness: Duration,
}

async fn start_service(children: &Children, follower: &Credential, behind: Behind<'_>) -> Result<Process, Problem> {
    let Behind { name, role, authority, max_staleness } = behind;
    let staleness = format!("{}ms", max_staleness.as_millis());
    let arguments = [role, "--name", name, "--authority", authority, "--max-staleness", &staleness];
    let role = Role { name, arguments: arguments.map(str::to_owned).into(), credential: Some(follower) };
    children.start(role).await
}

/// How stale the edge's view may be: short, so that nobody has to wait for long.
const EDGE_STALENESS: Duration = Duration::from_secs(3);
/// How stale the others' views may be: what a gateway allows where nothing is configured.
const STALENESS: Duration = Duration::from_secs(60);
/// What takes this long has failed, also on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);
