//! Groups: one entry for many users, and a question for those it could mean.

use scenarios::{Authority, Gateway, Service};
use serde_json::json;

use crate::routes::{Bearer, asked, saved, seen};

const GROUPS: u64 = 4;
/// Users who stay logged in, at the least.
const USERS: usize = 24;
/// So often somebody logs out whom the others share a group with.
const LOGOUTS: u64 = 5;

#[tokio::test]
async fn group_watermarks() {
    let authority = Authority::start_with(&format!("[groups]\ncount = {GROUPS}\n"));
    let service = Service::start(&authority, "api").await;
    let mut users = Users::in_every_group(&authority, &service).await;

    users.are_asked_about_once_for_each_logout_in_their_group().await;
    users.leave_at_most_one_entry_per_group().await;
    users.live_again_when_their_logout_is_lifted().await;
    users.of_other_groups_pass_while_the_authority_is_away().await;
    users.get_their_new_token_through_a_gateway().await;
    users.keep_their_groups_whatever_the_settings_say().await;
}

struct Users<'a> {
    authority: &'a Authority,
    service: &'a Service,
    phones: Vec<Bearer>,
}

impl<'a> Users<'a> {
    /// Which group a user falls into is decided by the log's own key, so as many come as it takes.
    async fn in_every_group(authority: &'a Authority, service: &'a Service) -> Self {
        let mut phones = Vec::new();
        while phones.len() < USERS || !(0..GROUPS).all(|one| phones.iter().any(|phone| group(phone) == one)) {
            assert!(phones.len() < 200, "the users do not fall into every group");
            phones.push(Bearer::of(&authority.login(&format!("user-{}", phones.len()), "phone").await));
        }
        Self { authority, service, phones }
    }

    /// Somebody logs in and out all day, while everybody goes on.
    async fn are_asked_about_once_for_each_logout_in_their_group(&mut self) {
        let disturbed = group(&Bearer::of(&self.authority.login("restless", "phone").await));
        let members = self.phones.iter().filter(|phone| group(phone) == disturbed).count();
        assert!(members > 0 && members < self.phones.len());
        let before = asked(self.authority).await;
        for _ in 0..LOGOUTS {
            let restless = self.authority.login("restless", "phone").await;
            assert_eq!(self.service.call(restless.token()).await.status, 200);
            self.log_out(restless.token(), "local").await;
            for phone in &mut self.phones {
                for _ in 0..10 {
                    phone.call(self.service, "/check").await.expect_status(200);
                }
            }
            assert_eq!(self.service.call(restless.token()).await, seen(401, "token_revoked"));
            self.authority.next_token(restless.sid()).await.expect_status(403);
        }
        let questions = asked(self.authority).await - before;
        saved("group_watermarks", self.phones.iter().map(|phone| phone.requests).sum(), questions);
        assert_eq!(questions, LOGOUTS * (members as u64 + 1), "each member, and the ended session's own token");
        for phone in &self.phones {
            let questions = if group(phone) == disturbed { LOGOUTS } else { 0 };
            assert_eq!(phone.replaced, questions, "group {}", group(phone));
        }
    }

    /// However many log out; and no name travels.
    async fn leave_at_most_one_entry_per_group(&mut self) {
        for number in 0..24 {
            let guest = self.authority.login(&format!("guest-{number}"), "phone").await;
            self.log_out(guest.token(), "global").await;
        }
        let first = self.phones.remove(0);
        let last = self.authority.admin().delete(&format!("/v1/sessions/{}", sid(&first))).await.expect_status(200);
        self.service.has_applied(last.text("position")).await;
        let entries = self.service.status().await["entries"].as_u64().expect("a count");
        println!("group_watermarks: {} logouts, {entries} entries at the verifier", LOGOUTS + 25);
        assert!(entries <= GROUPS, "{entries} entries for {GROUPS} groups");
        assert_eq!(self.service.call(&first.token).await, seen(401, "token_revoked"));
        for phone in &mut self.phones {
            phone.call(self.service, "/check").await.expect_status(200);
        }
    }

    /// The entry of the group stays; that the session lives is the authority's to say, when it is asked.
    async fn live_again_when_their_logout_is_lifted(&mut self) {
        let phone = &mut self.phones[0];
        let target = format!("subject:{}", subject(phone));
        let cut = self.authority.revoke(json!({ "targets": [target] })).await;
        self.service.has_applied(cut.text("position")).await;
        assert_eq!(phone.call(self.service, "/check").await.status, 401);
        self.authority.next_token(&sid(phone)).await.expect_status(403);
        let laptop = self.authority.login(&subject(phone), "laptop").await;
        assert_eq!(self.service.call(laptop.token()).await.status, 200, "a login after it lives");
        let lift = json!({"positions": [cut.body["revocations"][0]["position"]]});
        self.authority.admin().post("/v1/revocations/lift", lift).await.expect_status(200);
        phone.call(self.service, "/check").await.expect_status(200);
    }

    /// Only the group of the last logout cannot be told about.
    async fn of_other_groups_pass_while_the_authority_is_away(&mut self) {
        let laptop = self.authority.login(&subject(&self.phones[0]), "laptop").await;
        self.log_out(laptop.token(), "local").await;
        self.authority.process().pause();
        let disturbed = &self.phones[0];
        let other = self.phones.iter().find(|phone| group(phone) != group(disturbed)).expect("there are other groups");
        assert_eq!(self.service.call(&disturbed.token).await, seen(503, "view_unavailable"));
        assert_eq!(self.service.call(&other.token).await.status, 200);
        self.authority.process().signal("CONT");
        self.phones[0].call(self.service, "/check").await.expect_status(200);
    }

    /// It comes with the gateway's answer, which nobody may store.
    async fn get_their_new_token_through_a_gateway(&mut self) {
        let phone = &self.phones[1];
        let laptop = self.authority.login(&subject(phone), "laptop").await;
        self.log_out(laptop.token(), "local").await;
        let gateway = Gateway::start(self.authority, "gateway").await;
        let answer = gateway.auth(&phone.token).await.expect_status(200);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let restamped = answer.headers["annul-token"].to_str().expect("a token is ASCII");
        assert_eq!(scenarios::claims(restamped)["jti"], phone.claims()["jti"]);
        assert!(!gateway.auth(restamped).await.expect_status(200).headers.contains_key("annul-token"));
        assert_eq!(gateway.auth(laptop.token()).await.status, 401);
    }

    /// The claim cannot be taken away under the entries that rely on it.
    async fn keep_their_groups_whatever_the_settings_say(&self) {
        let without = json!({"claims": ["roles"], "ask_on": []});
        self.authority.admin().put("/v1/settings", without).await.expect_refusal(409, "group_claim_needed");
    }

    async fn log_out(&self, token: &str, scope: &str) {
        let out = self.authority.logout(token, json!({ "scope": scope })).await.expect_status(200);
        self.service.has_applied(out.text("position")).await;
    }
}

fn group(user: &Bearer) -> u64 {
    user.claims()["grp"].as_u64().expect("a token carries its group")
}

fn sid(user: &Bearer) -> String {
    user.claims()["sid"].as_str().expect("a token carries its session").to_owned()
}

fn subject(user: &Bearer) -> String {
    user.claims()["sub"].as_str().expect("a token carries its subject").to_owned()
}
