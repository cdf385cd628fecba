//! What a configuration is read from, and what is refused.

use super::*;

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn minimal() -> Sources {
    Sources {
        flags: vec![pair("authority.client_id", "gateway"), pair("authority.client_secret", "s")],
        ..Sources::default()
    }
}

#[test]
fn a_minimal_configuration_is_loopback_closed_and_sixty_seconds() {
    let config = Config::load(&minimal()).unwrap();
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:7401");
    assert_eq!(config.verifier.max_staleness, Span(Duration::from_secs(60)));
    assert_eq!(config.verifier.on_stale, OnStaleConfig::Closed);
    assert!(!config.feed.is_set() && !config.introspection.is_set());
}

#[test]
fn a_number_is_one_wherever_it_is_given() {
    let mut sources = minimal();
    sources.environment = vec![pair("ANNUL_GATEWAY__CONNECTIONS", "7")];
    assert_eq!(Config::load(&sources).unwrap().gateway.connections.get(), 7);
    for wrong in ["0", "-1", "many", ""] {
        sources.environment = vec![pair("ANNUL_GATEWAY__CONNECTIONS", wrong)];
        assert_eq!(Config::load(&sources).unwrap_err().code(), "config_invalid", "{wrong:?}");
    }
}

#[test]
fn flags_win_over_the_environment() {
    let mut sources = minimal();
    sources.environment = vec![
        pair("ANNUL_VERIFIER__AUDIENCE", "env"),
        pair("ANNUL_VERIFIER__ISSUER", "https://env"),
        pair("ANNUL_URL", "x"),
    ];
    sources.flags.push(pair("verifier.audience", "flag"));
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.verifier.audience.as_str(), config.verifier.issuer.as_str()), ("flag", "https://env"));
}

#[test]
fn an_unknown_key_is_named() {
    for (source, name) in [("ANNUL_VERIFIER__AUDIENC", "audienc"), ("ANNUL_VERIFER__AUDIENCE", "verifer")] {
        let mut sources = minimal();
        sources.environment = vec![pair(source, "x")];
        let error = Config::load(&sources).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (key, value) in [
        ("authority.client_id", ""),
        ("verifier.audience", ""),
        ("verifier.issuer", ""),
        ("verifier.max_staleness", "soon"),
        ("verifier.on_stale", "open"),
        ("verifier.open_until", "5m"),
        ("gateway.listen", "0.0.0.0:80"),
        ("gateway.tls_cert", "cert.pem"),
        ("introspection.client_id", "x"),
        ("feed.client_secret", "x"),
    ] {
        let mut sources = minimal();
        sources.flags.push(pair(key, value));
        assert!(Config::load(&sources).is_err(), "{key}={value} was accepted");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let config = Config::load(&minimal()).unwrap();
    assert!(!format!("{config:?}").contains("\"s\""));
}

#[test]
fn no_error_repeats_a_secret_that_is_written_wrongly() {
    const SECRET: &str = "20261122";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("annul.toml");
    for wrong in [format!("\"{SECRET}"), SECRET.to_owned(), format!("[{SECRET}]"), format!("{{ of = {SECRET} }}")] {
        std::fs::write(&file, format!("[authority]\nclient_id = \"gateway\"\nclient_secret = {wrong}\n")).unwrap();
        let error = Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap_err();
        assert!(error.code() == "config_invalid" && !error.to_string().contains(SECRET), "{error}");
    }
    for section in ["feed", "introspection", "authority"] {
        std::fs::write(&file, format!("{section} = \"relay:{SECRET}\"\n")).unwrap();
        let error = Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap_err();
        assert!(error.to_string().contains(section) && !error.to_string().contains(SECRET), "{error}");
    }
}
