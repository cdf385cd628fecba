//! Every verb's ordinary path, and what must still pass beside it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{both, expect, expect_problem, text};

#[tokio::test]
async fn a_session_gets_tokens_until_it_is_ended() {
    for authority in both().await {
        let opened = authority.session("alice").await;
        let sid = text(&opened, "sid");
        assert_eq!(opened["token_type"], "Bearer");
        let next = authority.post(&format!("/v1/sessions/{sid}/token"), json!({}), 200).await;
        assert_ne!(opened["jti"], next["jti"]);
        assert_eq!(authority.verdict(&text(&next, "access_token")).await, "active");

        let session = authority.get(&format!("/v1/sessions/{sid}")).await;
        assert_eq!((&session["subject"], &session["status"]), (&json!("alice"), &json!("live")));
        let listed = authority.get("/v1/subjects/alice/sessions").await;
        assert_eq!(listed, authority.get("/v1/sessions?subject=alice").await);
        assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);

        let other = authority.session("alice").await;
        let path = format!("/v1/sessions/{sid}?reason=lost");
        let ended = expect(authority.request(Method::DELETE, &path), 200).await;
        assert_eq!(ended["sessions"], 1);
        assert_eq!(ended["revocations"][0]["target"], format!("session:{sid}"));
        assert_eq!(authority.verdict(&text(&next, "access_token")).await, "revoked");
        let request = authority.request(Method::POST, &format!("/v1/sessions/{sid}/token"));
        expect_problem(request, 403, "session_revoked").await;
        assert_eq!(authority.verdict(&text(&other, "access_token")).await, "active", "only the session ended");
        expect_problem(authority.request(Method::POST, "/v1/sessions/none/token"), 404, "session_unknown").await;
        expect_problem(authority.request(Method::GET, "/v1/sessions/none"), 404, "session_unknown").await;
    }
}

#[tokio::test]
async fn log_out_everywhere_spares_the_login_that_follows_at_once() {
    for authority in both().await {
        let before = authority.session("alice").await;
        let bystander = authority.session("bob").await;
        let dry = json!({"targets": ["subject:alice"], "dry_run": true});
        let dry = authority.post("/v1/revocations", dry, 200).await;
        assert_eq!((&dry["dry_run"], &dry["sessions"]), (&json!(true), &json!(1)));
        assert_eq!(authority.verdict(&text(&before, "access_token")).await, "active", "a dry run does nothing");

        let revoked = authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
        assert_eq!(revoked["sessions"], dry["sessions"]);
        assert!(revoked["enforced_by"].as_u64().unwrap() >= revoked["acknowledged_at"].as_u64().unwrap());
        assert!(revoked.get("confirmation").is_none());
        let after = authority.session("alice").await;
        assert_eq!(authority.verdict(&text(&before, "access_token")).await, "revoked");
        assert_eq!(authority.verdict(&text(&after, "access_token")).await, "active");
        assert_eq!(authority.verdict(&text(&bystander, "access_token")).await, "active");
    }
}

#[tokio::test]
async fn the_audit_shows_what_happened_last_unless_told_where_to_begin() {
    for authority in both().await {
        for subject in ["alice", "bob", "carol"] {
            authority.post("/v1/revocations", json!({"targets": [format!("subject:{subject}")]}), 201).await;
        }
        let last = authority.get("/v1/audit?limit=2").await;
        let targets: Vec<_> = (0..2).map(|index| text(&last["events"][index], "target")).collect();
        assert_eq!(targets, ["subject:bob", "subject:carol"]);
        let first = authority.get("/v1/audit?limit=1&after=0").await;
        assert_eq!(first["events"][0]["id"], 1, "{first}");
        let bob = last["events"][0]["id"].as_u64().unwrap();
        assert_eq!(authority.get(&format!("/v1/audit?after={bob}")).await["events"][0], last["events"][1]);
    }
}

#[tokio::test]
async fn a_token_is_revoked_by_itself_and_the_revocation_is_lifted() {
    for authority in both().await {
        let token = text(&authority.session("alice").await, "access_token");
        let body = json!({"token": token, "reason": "pasted into a chat"});
        let revoked = authority.post("/v1/revocations", body, 201).await;
        let position = text(&revoked, "position");
        assert_eq!(authority.verdict(&token).await, "revoked");

        let found = authority.get(&format!("/v1/revocations/{position}")).await;
        assert_eq!(found["reason"], "pasted into a chat");
        let listed = authority.get("/v1/revocations?limit=10").await;
        assert!(listed["revocations"].as_array().unwrap().iter().any(|item| item["position"] == position.as_str()));
        let audit = authority.get(&format!("/v1/audit?position={position}")).await;
        assert!(audit.to_string().contains("pasted into a chat"), "{audit}");

        let lifted = authority.post("/v1/revocations/lift", json!({"positions": [position]}), 200).await;
        assert_eq!(lifted["lifted"][0], position.as_str());
        assert_eq!(authority.verdict(&token).await, "active");
        expect_problem(authority.request(Method::GET, "/v1/revocations/1:9999"), 404, "revocation_unknown").await;
    }
}

#[tokio::test]
async fn a_repeated_attempt_is_answered_as_the_first() {
    for authority in both().await {
        let attempt = |body: Value| {
            authority.request(Method::POST, "/v1/revocations").header("idempotency-key", "attempt-1").json(&body)
        };
        let body = json!({"targets": ["subject:alice"]});
        let first = expect(attempt(body.clone()), 201).await;
        let again = expect(attempt(body), 201).await;
        assert_eq!(first["position"], again["position"]);
        assert_eq!(first["acknowledged_at"], again["acknowledged_at"]);
        let other = attempt(json!({"targets": ["subject:bob"]}));
        expect_problem(other, 409, "idempotency_conflict").await;
        let another = authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
        assert_ne!(first["position"], another["position"], "without a key it is a new revocation");
    }
}

#[tokio::test]
async fn a_role_change_needs_no_login() {
    for authority in both().await {
        let opened = authority.session("alice").await;
        let sid = text(&opened, "sid");
        let body = json!({"claims": {"roles": ["admin"]}});
        expect(authority.request(Method::PUT, "/v1/subjects/alice/claims").json(&body), 200).await;
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "revoked");
        let next = authority.post(&format!("/v1/sessions/{sid}/token"), json!({}), 200).await;
        let checked = json!({"token": text(&next, "access_token")});
        let checked = authority.post("/v1/tokens/check", checked, 200).await;
        assert_eq!(checked["claims"]["roles"], json!(["admin"]));
    }
}

#[tokio::test]
async fn a_blocked_subject_gets_nothing_until_it_is_unblocked() {
    for authority in both().await {
        let opened = authority.session("alice").await;
        authority.post("/v1/subjects/alice/block", json!({"reason": "fraud"}), 200).await;
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "revoked");
        let open = || authority.request(Method::POST, "/v1/sessions").json(&json!({"subject": "alice"}));
        expect_problem(open(), 403, "subject_blocked").await;
        authority.session("bob").await;
        let unblock = "/v1/subjects/alice/block?reason=cleared&wait=10";
        expect(authority.request(Method::DELETE, unblock), 200).await;
        expect_problem(authority.request(Method::DELETE, unblock), 409, "not_blocked").await;
        expect(open(), 201).await;
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "revoked", "unblocking revives nothing");
    }
}

#[tokio::test]
async fn a_subjects_version_and_record_are_set_retried_and_shown() {
    for authority in both().await {
        let nothing = authority.get("/v1/subjects/alice").await;
        assert_eq!((&nothing["version"], &nothing["updated_at"]), (&Value::Null, &Value::Null));
        let old = text(&authority.session("alice").await, "access_token");
        let put = |body: Value, key: &str| {
            let request = authority.request(Method::PUT, "/v1/subjects/alice/version");
            request.header("idempotency-key", key).json(&body)
        };
        let first = expect(put(json!({}), "a"), 200).await;
        let again = expect(put(json!({}), "a"), 200).await;
        assert_eq!(first["position"], again["position"], "a retry is no second change");
        assert_eq!(first["revocations"][0]["emitted_by"], "state");
        assert_eq!(authority.verdict(&old).await, "revoked");
        expect_problem(put(json!({"version": 1, "reach": "sessions"}), "b"), 400, "request_invalid").await;
        expect_problem(put(json!({"version": -1}), "c"), 400, "request_invalid").await;

        authority.post("/v1/subjects/alice/record", json!({"fields": ["role"], "wait": "1ms"}), 200).await;
        let unknown = authority.request(Method::POST, "/v1/subjects/alice/record").json(&json!({"fields": ["name"]}));
        let problem = expect_problem(unknown, 400, "record_field_unknown").await;
        assert!(text(&problem, "detail").contains("email, password, role"), "{problem}");
        let shown = authority.get("/v1/subjects/alice").await;
        assert_eq!(
            (&shown["version"], shown["updated_at"].is_u64(), &shown["blocked"]),
            (&json!(1), true, &Value::Null)
        );

        let reader = authority.client("reader", &["annul.read"]).await;
        let request = authority.request_as(&reader, Method::PUT, "/v1/subjects/alice/version").json(&json!({}));
        expect_problem(request, 403, "insufficient_scope").await;
    }
}

#[tokio::test]
async fn keys_rotate_with_overlap_and_die_at_once() {
    for authority in both().await {
        let old = text(&authority.session("alice").await, "access_token");
        let kids = |list: &Value| -> Vec<(String, String)> {
            let keys = list["keys"].as_array().unwrap();
            keys.iter().map(|key| (text(key, "state"), text(key, "kid"))).collect()
        };
        let before = kids(&authority.get("/v1/keys").await);
        let active = before.iter().find(|(state, _)| state == "active").unwrap().1.clone();
        // No verifier follows, so nobody needs the reserve key's lead.
        authority.post("/v1/keys/rotate", json!({}), 200).await;
        let rotated = text(&authority.session("alice").await, "access_token");
        assert_eq!(authority.verdict(&old).await, "active", "a rotated key's tokens stay good");

        let killed = authority.post(&format!("/v1/keys/{active}/kill"), json!({"reason": "leaked"}), 200).await;
        assert_ne!(authority.verdict(&old).await, "active");
        assert_eq!(authority.verdict(&rotated).await, "active");
        let after = kids(&authority.get("/v1/keys").await);
        assert!(after.contains(&("killed".to_owned(), active.clone())), "{after:?}");
        let lift = json!({"positions": [killed["revocations"][0]["position"]]});
        let response = authority.request(Method::POST, "/v1/revocations/lift").json(&lift).send().await.unwrap();
        assert_eq!(response.status(), 409, "a killed key is never revived");
        let request = authority.request(Method::POST, "/v1/keys/none/kill").json(&json!({}));
        expect_problem(request, 404, "key_unknown").await;
    }
}

#[tokio::test]
async fn accounts_log_in_and_out() {
    for authority in both().await {
        let account = json!({"username": "alice", "password": "correct horse"});
        authority.post("/v1/accounts", account.clone(), 201).await;
        assert_eq!(authority.get("/v1/accounts/alice").await["username"], "alice");
        let response = authority.request(Method::POST, "/v1/accounts").json(&account).send().await.unwrap();
        assert_eq!(response.status(), 409);

        let login = |password: &str| {
            let body = json!({"username": "alice", "password": password});
            authority.bare(Method::POST, "/v1/login").json(&body)
        };
        expect_problem(login("wrong horse"), 401, "invalid_credentials").await;
        let unknown = json!({"username": "nobody", "password": "correct horse"});
        let unknown = authority.bare(Method::POST, "/v1/login").json(&unknown);
        expect_problem(unknown, 401, "invalid_credentials").await;
        let here = text(&expect(login("correct horse"), 200).await, "access_token");
        let there = text(&expect(login("correct horse"), 200).await, "access_token");

        let logout = |token: &str, scope: &str| {
            authority.bare(Method::POST, "/v1/logout").bearer_auth(token).json(&json!({"scope": scope}))
        };
        let others = expect(logout(&here, "others"), 200).await;
        assert_eq!(authority.verdict(&there).await, "revoked");
        let here = text(&others, "access_token");
        assert_eq!(authority.verdict(&here).await, "active", "this device stays");
        expect(logout(&here, "global"), 200).await;
        assert_eq!(authority.verdict(&here).await, "revoked");
        expect_problem(logout(&here, "global"), 401, "token_revoked").await;
        expect_problem(logout("x.y.z", "local"), 401, "token_malformed").await;
        expect_problem(authority.bare(Method::POST, "/v1/logout"), 401, "token_required").await;

        let password = json!({"password": "battery staple"});
        expect(authority.request(Method::PUT, "/v1/accounts/alice/password").json(&password), 200).await;
        expect_problem(login("correct horse"), 401, "invalid_credentials").await;
        expect(login("battery staple"), 200).await;
        expect(authority.request(Method::DELETE, "/v1/accounts/alice"), 200).await;
        expect_problem(login("battery staple"), 401, "invalid_credentials").await;
    }
}

#[tokio::test]
async fn settings_and_issuers_change_by_their_verbs() {
    for authority in both().await {
        let before = authority.get("/v1/settings").await;
        let changed = authority.call(Method::PUT, "/v1/settings", json!({"max_leeway": 30}), 200).await;
        assert_eq!(changed["settings"]["max_leeway"], 30);
        let after = authority.get("/v1/settings").await;
        assert_eq!(after["revision"].as_u64(), before["revision"].as_u64().map(|revision| revision + 1));

        let jwks = expect(authority.bare(Method::GET, "/.well-known/jwks.json"), 200).await;
        let issuer = json!({"issuer": "https://idp.example", "jwks": jwks, "longest_life": 600});
        authority.post("/v1/issuers", issuer, 201).await;
        let listed = authority.get("/v1/issuers").await;
        assert!(listed.to_string().contains("https://idp.example"));
        let path = "/v1/issuers?issuer=https%3A%2F%2Fidp.example";
        expect(authority.request(Method::DELETE, path), 200).await;
        expect_problem(authority.request(Method::DELETE, path), 404, "issuer_unknown").await;

        let by_url =
            json!({"issuer": "https://idp.example", "jwks_uri": "http://idp.example/jwks", "longest_life": 600});
        let request = authority.request(Method::POST, "/v1/issuers").json(&by_url);
        expect_problem(request, 400, "url_refused").await;
    }
}

#[tokio::test]
async fn what_cannot_be_revoked_is_refused_with_what_to_do() {
    for authority in both().await {
        let revoke = |body: Value| authority.request(Method::POST, "/v1/revocations").json(&body);
        expect_problem(revoke(json!({"targets": ["alice"]})), 400, "target_invalid").await;
        expect_problem(revoke(json!({})), 400, "nothing_named").await;
        expect_problem(revoke(json!({"token": "x.y.z"})), 400, "token_malformed").await;
        let future = json!({"targets": ["subject:alice"], "cutoff": {"before": 99_999_999_999_u64}});
        let response = revoke(future).send().await.unwrap();
        assert_eq!(response.status(), 400);
        expect_problem(revoke(json!({"targets": ["subject:a"], "wait": "soon"})), 400, "request_invalid").await;
    }
}
