//! TLS, with certificates of an authority of our own.
//!
//! Needs a `redis-server` that was built with TLS, as that of the system's packages is.

use crate::chain::{fetch, over, until, until_stored};
use crate::processes::until_coherent;
use crate::proxy::listener;
use crate::server::{Server, free_port};
use headwater::redis::{BreakerState, Coherence, RedisCache, RedisConfig};
use headwater::testkit::TestSource;
use headwater::{Error, ErrorKind, Headwater, LruCache};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io::Write;
use std::path::PathBuf;

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        // Otherwise it is called as its authority is, and taken for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// A server that also listens for TLS, and the files that it reads.
struct Secure {
    server: Server,
    port: u16,
    directory: PathBuf,
}

impl Secure {
    /// Shows a certificate for `name`; asks clients for one if it is told so.
    fn start(authority: &Authority, name: &str, asks: bool) -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("headwater-tls-{port}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("UTF-8").to_owned()
        };
        let Identity { certificate, key } = authority.identity(name);
        let server = Server::with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("server.pem", &certificate),
            "--tls-key-file",
            &file("server.key", &key),
            "--tls-ca-cert-file",
            &file("ca.pem", &authority.pem()),
            "--tls-auth-clients",
            if asks { "yes" } else { "no" },
        ]);
        Self { server, port, directory }
    }

    fn config(&self, authority: &Authority) -> RedisConfig {
        config(self.port).tls_ca(authority.pem())
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn config(port: u16) -> RedisConfig {
    RedisConfig::new(&format!("rediss://localhost:{port}")).expect("a URL")
}

async fn refused(config: RedisConfig) -> Error {
    config.connect::<str, String>().await.expect_err("it is refused")
}

#[tokio::test]
async fn a_chain_over_tls_survives_its_server() {
    let authority = Authority::new();
    let mut secure = Secure::start(&authority, "localhost", false);
    let redis: RedisCache<str, String> =
        secure.config(&authority).connect().await.expect("it is trusted");
    let chain = over(redis);
    until_stored(&chain, "a").await;
    secure.server.kill();
    fetch(&chain, "b").await;
    secure.server.restart();
    until("the breaker", || async { chain.tier().stats().breaker == BreakerState::Closed }).await;
    until_stored(&chain, "c").await;
}

#[tokio::test]
async fn changes_are_heard_of_over_tls() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost", false);
    let origin = TestSource::<str, String>::new();
    let redis = secure.config(&authority).connect_lazy().expect("valid");
    let lru = LruCache::new(100).expect("a capacity");
    let process = Headwater::source(origin).through(redis).through(lru).build();
    until_coherent(&process).await;
    assert_eq!(crate::processes::redis(&process).coherence(), Coherence::Tracking);
}

#[tokio::test]
async fn whoever_is_not_trusted_is_refused_and_named() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost", false);
    let stranger = Authority::new();
    let elsewhere = Secure::start(&authority, "cache.internal", false);
    for config in [secure.config(&stranger), config(secure.port), elsewhere.config(&authority)] {
        let error = refused(config).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_side_without_tls_is_told_from_silence_if_it_says_anything() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost", false);
    let url = listener(|peer| drop(peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    let web = RedisConfig::new(&url.replace("redis://127.0.0.1", "rediss://localhost"));
    let error = refused(web.expect("a URL").tls_ca(authority.pem())).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("TLS"), "{error}");
    // These wait for each other to say something that makes sense, or one of them hangs up.
    refused(config(secure.server.port()).tls_ca(authority.pem())).await;
    let naked = RedisConfig::new(&format!("redis://localhost:{}", secure.port)).expect("a URL");
    refused(naked).await;
}

#[tokio::test]
async fn a_server_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost", true);
    let error = refused(secure.config(&authority)).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let Identity { certificate, key } = authority.identity("client");
    let config = secure.config(&authority).tls_identity(certificate, key);
    config.connect::<str, String>().await.expect("it is known");
}

#[test]
fn certificates_that_make_no_sense_are_refused_at_once() {
    let authority = Authority::new();
    let plain = RedisConfig::new("redis://localhost").expect("a URL");
    for (config, part) in [
        (plain.tls_ca(authority.pem()), "rediss://"),
        (config(1).tls_ca("no certificate"), "tls_ca"),
        (config(1).tls_ca(""), "tls_ca"),
        (config(1).tls_identity(authority.pem(), "no key"), "tls_identity"),
    ] {
        let error = config.connect_lazy::<str, String>().expect_err("it makes no sense");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(part), "{error}");
    }
}
