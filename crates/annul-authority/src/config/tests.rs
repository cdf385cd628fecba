//! What a configuration is read from, and what is refused.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("annul.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
    let (_dir, mut sources) = file("[tokens]\nlife = \"1m\"\naudience = \"shop\"\nissuer = \"https://file\"\n");
    sources.environment =
        vec![pair("ANNUL_TOKENS__LIFE", "2m"), pair("ANNUL_TOKENS__ISSUER", "https://env"), pair("ANNUL_URL", "x")];
    sources.flags = vec![pair("tokens.life", "3m"), pair("tokens.claims", "roles, tenant")];
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.tokens.life, Span::seconds(180));
    assert_eq!(config.tokens.issuer, "https://env");
    assert_eq!(config.tokens.audience, "shop");
    assert_eq!(config.tokens.claims, ["roles", "tenant"]);
    assert_eq!(config.sessions, SessionsConfig::default());
}

#[test]
fn a_value_of_the_wrong_form_is_refused_with_its_key() {
    for (text, key) in [
        ("[server]\nlisten = \"0.0*0.0:7400\"\n", "server.listen"),
        ("[tokens]\nlife = 7\n", "tokens.life"),
        ("[limits]\nadmin = -1\n", "limits.admin"),
        ("[store]\nkind = \"paper\"\n", "store.kind"),
    ] {
        let (_dir, sources) = file(text);
        let error = Config::load(&sources).unwrap_err();
        assert!(matches!(error, ConfigError::Invalid { .. }) && error.to_string().contains(key), "{error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let (_dir, sources) = file("[tokens]\nlongest_live = \"1m\"\n");
    let error = Config::load(&sources).unwrap_err();
    let ConfigError::UnknownKey { key, nearest, .. } = &error else { panic!("{error}") };
    assert_eq!((key.as_str(), nearest.as_str()), ("tokens.longest_live", "tokens.longest_life"));

    let (_dir, sources) = file("[tokens_]\n");
    let ConfigError::UnknownKey { nearest, .. } = Config::load(&sources).unwrap_err() else { panic!() };
    assert_eq!(nearest, "tokens");

    let sources = Sources { environment: vec![pair("ANNUL_SERVER__LISTN", "x")], ..Sources::default() };
    let ConfigError::UnknownKey { nearest, source, .. } = Config::load(&sources).unwrap_err() else { panic!() };
    assert_eq!(nearest, "server.listen");
    assert!(source.contains("ANNUL_SERVER__LISTN"));
}

#[test]
fn a_section_given_as_a_value_is_told_that_it_has_keys() {
    for text in ["tokens = \"a\"\n", "[[tokens]]\nlife = \"1m\"\n"] {
        let (_dir, sources) = file(text);
        let error = Config::load(&sources).unwrap_err();
        let ConfigError::Section { section, source, key } = &error else { panic!("{error}") };
        assert_eq!((section.as_str(), error.code()), ("tokens", "config_value_invalid"));
        assert!(source.contains("annul.toml") && key.starts_with("tokens."), "{error}");
    }
    let sources = Sources { flags: vec![pair("tokens", "a")], ..Sources::default() };
    let error = Config::load(&sources).unwrap_err().to_string();
    assert!(error.starts_with("tokens (command line) is a section"), "{error}");
    let sources = Sources { environment: vec![pair("ANNUL_TOKENS", "a")], ..Sources::default() };
    assert!(Config::load(&sources).is_ok(), "a variable without a key is not a setting of ours");
}

#[test]
fn the_fields_of_a_user_record_are_a_list_in_every_source() {
    let (_dir, mut sources) = file("[subjects]\nrecord_fields = [\"role=access\", \"login=both\"]\n");
    let from_file = Config::load(&sources).unwrap().subjects;
    sources.file = None;
    sources.environment = vec![
        pair("ANNUL_SUBJECTS__RECORD_FIELDS", "login=both, role=access"),
        pair("ANNUL_SUBJECTS__LOGOUT_SETS_VERSION", "true"),
    ];
    let from_environment = Config::load(&sources).unwrap().subjects;
    assert_eq!(from_file.record_fields, from_environment.record_fields);
    assert!(from_environment.logout_sets_version && !from_file.logout_sets_version);
    sources.flags = vec![pair("subjects.record_fields", "role=sessions")];
    let error = Config::load(&sources).unwrap_err().to_string();
    assert!(error.contains("role=sessions") && error.contains("name=both"), "{error}");
}

#[test]
fn plain_http_beyond_loopback_is_refused_unless_it_is_asked_for() {
    let mut sources = Sources { flags: vec![pair("server.listen", "0.0.0.0:7400")], ..Sources::default() };
    assert!(matches!(Config::load(&sources), Err(ConfigError::PlainBeyondLoopback { .. })));
    sources.flags.push(pair("server.allow_insecure", "true"));
    assert!(Config::load(&sources).is_ok());
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (key, value) in [
        ("tokens.issuer", ""),
        ("tokens.audience", ""),
        ("tokens.life", "1h"),
        ("tokens.life", "five"),
        ("tokens.ask_on", "plan"),
        ("sessions.idle", "0s"),
        ("server.tls_cert", "cert.pem"),
        ("server.allow_insecure", "yes"),
        ("server.tls_client_ca", "ca.pem"),
        ("server.client_cert_header", "true"),
        ("server.trusted_proxies", "10.0.0.1/8"),
        ("server.public_url", "auth.example"),
        ("server.dpop_nonce", "sometimes"),
        ("limits.body", "1"),
        ("sessions.logout_cookies", "sid,a b"),
        ("limits.issue", "many"),
        ("store.kind", "oracle"),
        ("server.listen", "localhost"),
    ] {
        let sources = Sources { flags: vec![pair(key, value)], ..Sources::default() };
        let error = Config::load(&sources).map(|_| ()).unwrap_err().to_string();
        assert!(!error.is_empty(), "{key}={value}");
    }
}

#[test]
fn a_file_that_is_not_toml_or_not_there_is_named() {
    let (_dir, sources) = file("[tokens\n");
    assert!(matches!(Config::load(&sources), Err(ConfigError::NotToml { .. })));
    let sources = Sources { file: Some(PathBuf::from("/nonexistent/annul.toml")), ..Sources::default() };
    assert!(matches!(Config::load(&sources), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn secrets_of_issuers_are_tables_of_the_file_and_no_error_repeats_one() {
    const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let section = |more: &str| {
        format!("[[issuers.secrets]]\nissuer = \"https://idp\"\nname = \"shared\"\nalgorithm = \"HS256\"\n{more}\n")
    };
    let (_dir, sources) = file(&section(&format!("secret = \"{SECRET}\"")));
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.issuers.secrets[0].secret.as_ref().unwrap().expose(), SECRET);
    assert!(!format!("{config:?}").contains(SECRET));
    for text in [
        section(&format!("secrte = \"{SECRET}\"")),
        section(&format!("secret = [\"{SECRET}\"]")),
        section(&format!("encoding = \"{SECRET}\"")),
        section(&format!("secret = \"{SECRET}")),
        format!("[issuers]\nsecrets = [\"{SECRET}\"]\n"),
        format!("[issuers]\nsecrets = \"{SECRET}\"\n"),
    ] {
        let (_dir, sources) = file(&text);
        let error = Config::load(&sources).unwrap_err();
        assert!(!error.to_string().contains(SECRET), "{error}");
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
    let environment = vec![pair("ANNUL_ISSUERS__SECRETS", SECRET)];
    let error = Config::load(&Sources { environment, ..Sources::default() }).unwrap_err();
    assert!(matches!(error, ConfigError::Value { .. }) && !error.to_string().contains(SECRET), "{error}");
    let (_dir, sources) = file(&section("").replace("https://idp", "http://127.0.0.1:7400"));
    assert!(matches!(Config::load(&sources), Err(ConfigError::Refused { key: "issuers.secrets", .. })));
}

#[test]
fn the_defaults_are_a_configuration() {
    assert_eq!(Config::load(&Sources::default()), Ok(Config::default()));
}

#[test]
fn the_page_names_every_key_with_its_default() {
    let page = include_str!("../../../../docs/reference/configuration.md");
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    let mut rows = 0;
    for (section, keys) in &Config::known_keys() {
        for key in keys.as_table().unwrap().keys() {
            let default = defaults.get(section).and_then(|section| section.get(key)).map(text).unwrap_or_default();
            let cell = if default.is_empty() { String::new() } else { format!("`{default}` ") };
            let row = format!("| `{section}.{key}` | {cell}|");
            assert!(page.contains(&row), "the page lacks the row {row}");
            rows += 1;
        }
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), rows, "the page has rows for no key");
}
