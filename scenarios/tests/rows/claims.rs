//! Claims: whatever a token says of its bearer can be revoked by.

use scenarios::{Answer, Authority, Cli, ForeignIssuer, Service, now};
use serde_json::{Value, json};

/// The claims that are targets from the start.
const CLAIMS: [&str; 6] = ["role", "roles", "scope", "tenant", "level", "beta"];

#[tokio::test]
async fn claim_cutoff() {
    let authority = Authority::start_with(&format!("claims = {CLAIMS:?}"));
    let issuer = ForeignIssuer::register(&authority).await;
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let system = System { authority: &authority, service: &service };

    system.ends_a_tenants_sessions_and_no_others().await;
    system.renews_an_administrators_tokens_and_leaves_the_session().await;
    system.meets_each_word_of_a_scope().await;
    system.meets_each_value_of_an_array_a_number_and_a_boolean().await;
    system.ends_what_was_granted_to_an_older_login().await;
    system.reaches_older_tokens_by_a_claim_configured_later().await;
    system.keeps_a_foreign_issuers_claims_apart(&issuer).await;
}

struct System<'a> {
    authority: &'a Authority,
    service: &'a Service,
}

impl System<'_> {
    async fn open(&self, subject: &str, claims: Value) -> Answer {
        self.authority.open(json!({"subject": subject, "claims": claims})).await
    }

    async fn cut(&self, target: &str, reach: &str) -> Answer {
        self.authority.revoke(json!({"targets": [target], "reach": reach})).await
    }

    async fn ends_a_tenants_sessions_and_no_others(&self) {
        let acme =
            [self.open("ann", json!({"tenant": "acme"})).await, self.open("abe", json!({"tenant": "acme"})).await];
        let other = self.open("oz", json!({"tenant": "acme2"})).await;
        let without = self.open("una", json!({})).await;
        self.service.accepts(acme[0].token()).await;
        assert_eq!(self.cut("claim:tenant=acme", "both").await.number("sessions"), 2);
        for dead in &acme {
            self.service.refuses_as_revoked(dead.token()).await;
            self.authority.next_token(dead.sid()).await.expect_status(403);
        }
        let again = self.open("ann", json!({"tenant": "acme"})).await;
        for live in [&other, &without, &again] {
            self.service.accepts(live.token()).await;
        }
    }

    async fn renews_an_administrators_tokens_and_leaves_the_session(&self) {
        let admin = self.open("ada", json!({"role": "admin"})).await;
        let user = self.open("ulf", json!({"role": "user"})).await;
        self.cut("claim:role=admin", "access").await;
        self.service.refuses_as_revoked(admin.token()).await;
        let next = self.authority.next_token(admin.sid()).await.expect_status(200);
        self.service.accepts(next.token()).await;
        self.service.accepts(user.token()).await;
    }

    async fn meets_each_word_of_a_scope(&self) {
        let wide = self.authority.open(json!({"subject": "sam", "scope": "orders.read orders.write"})).await;
        let narrow = self.authority.open(json!({"subject": "sue", "scope": "orders.read"})).await;
        self.cut("claim:scope=orders.write", "both").await;
        self.service.refuses_as_revoked(wide.token()).await;
        self.service.accepts(narrow.token()).await;
    }

    async fn meets_each_value_of_an_array_a_number_and_a_boolean(&self) {
        let all = self.open("art", json!({"roles": ["reader", "admin"], "level": 7, "beta": true})).await;
        let reader = self.open("rea", json!({"roles": ["reader"], "level": 70, "beta": false})).await;
        let mut token = all.token().to_owned();
        for target in ["claim:roles=admin", "claim:level=7", "claim:beta=true"] {
            self.service.accepts(&token).await;
            self.cut(target, "access").await;
            self.service.refuses_as_revoked(&token).await;
            self.service.accepts(reader.token()).await;
            token = self.authority.next_token(all.sid()).await.expect_status(200).token().to_owned();
        }
        self.service.accepts(&token).await;
    }

    /// `before` also reaches a grant that was made after it, to a login from before it: who it was made to
    /// logs in again.
    async fn ends_what_was_granted_to_an_older_login(&self) {
        let boss = json!({"role": "boss"});
        let old = self.authority.open(json!({"subject": "eve", "auth_time": now() - 3600})).await;
        let recent = json!({"subject": "rex", "auth_time": now() - 60, "claims": boss});
        let recent = self.authority.open(recent).await;
        let grant = json!({"claims": boss});
        self.authority.admin().put("/v1/subjects/eve/claims", grant).await.expect_status(200);
        let granted = self.authority.next_token(old.sid()).await.expect_status(200);
        self.service.accepts(granted.token()).await;
        let cut = json!({"targets": ["claim:role=boss"], "cutoff": {"before": now() - 600}});
        self.authority.revoke(cut).await;
        self.service.refuses_as_revoked(granted.token()).await;
        self.authority.next_token(old.sid()).await.expect_status(403);
        self.service.accepts(recent.token()).await;
        let back = self.authority.open(json!({"subject": "eve"})).await;
        assert_eq!(back.claim("role"), "boss");
        self.service.accepts(back.token()).await;
    }

    async fn reaches_older_tokens_by_a_claim_configured_later(&self) {
        let older = self.open("gil", json!({"plan": "gold"})).await;
        let refused = self.authority.admin().post("/v1/revocations", json!({"targets": ["claim:plan=gold"]})).await;
        assert_eq!(refused.expect_status(400).text("code"), "claim_no_target");
        self.service.accepts(older.token()).await;
        self.add_claim("plan").await;
        let newer = self.open("gus", json!({"plan": "gold"})).await;
        let silver = self.open("sil", json!({"plan": "silver"})).await;
        assert_eq!(self.cut("claim:plan=gold", "both").await.number("sessions"), 2);
        for dead in [&older, &newer] {
            self.service.refuses_as_revoked(dead.token()).await;
        }
        self.authority.next_token(older.sid()).await.expect_status(403);
        self.service.accepts(silver.token()).await;
    }

    /// The issuer's `acme` is not ours, whose cut was made before.
    async fn keeps_a_foreign_issuers_claims_apart(&self, issuer: &ForeignIssuer) {
        let ours = self.open("ann", json!({"tenant": "acme"})).await;
        let theirs = issuer.token("fay", 5, json!({"tenant": "acme"}));
        let others = issuer.token("fay", 5, json!({"tenant": "umbrella"}));
        self.service.accepts_soon(&theirs).await;
        self.authority.revoke(json!({"targets": ["claim:tenant=acme"], "issuer": issuer.name()})).await;
        self.service.refuses_as_revoked(&theirs).await;
        self.service.accepts(&others).await;
        self.service.accepts(ours.token()).await;
    }

    async fn add_claim(&self, name: &str) {
        let claims = format!("{},{name}", CLAIMS.join(","));
        let cli = Cli::of(self.authority.admin());
        let set = cli.run(&["settings", "set", "--claims", &claims, "--yes", "--json"]).await.expect_code(0).json();
        self.service.has_applied(set["position"].as_str().expect("a position")).await;
    }
}
