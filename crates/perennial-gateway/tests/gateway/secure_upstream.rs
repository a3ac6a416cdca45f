//! Upstreams behind TLS with an authority of their own, HTTP/2 to them, and gRPC's trailers on the way.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use perennial_gateway::{ClientCertificate, Protocol, Upstream, UpstreamSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::harness::{Stage, bind};

/// An authority, and what it vouched for, in files.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let authority = Self { folder: tempfile::tempdir().expect("a folder"), issuer };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).expect("written");
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for `name` and its key, as `name.pem` and `name.key`.
    fn vouch_for(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let (pem, secret) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&pem, certificate.pem()).expect("written");
        std::fs::write(&secret, key.serialize_pem()).expect("written");
        (pem, secret)
    }
}

fn server_config(authority: &Authority, name: &str, protocols: &[&[u8]], wants_client: bool) -> ServerConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (pem, key) = authority.vouch_for(name);
    let chain = vec![CertificateDer::from_pem_file(pem).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.expect("versions");
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file("ca.pem")).expect("a certificate")).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).expect("a certificate and its key");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Tells which HTTP came, the host, and the body with its trailers; answers with trailers of its own.
async fn tell(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let version = request.version();
    let te = request.headers().get("te").cloned();
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()));
    let collected = request.into_body().collect().await?;
    let came = collected.trailers().and_then(|trailers| trailers.get("x-came")).cloned();
    let text = format!("{version:?} {} {te:?} {came:?} {}", host.unwrap_or_default(), collected.to_bytes().len());
    let trailers = [(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))].into_iter().collect();
    let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from(text))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
    response.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status"));
    Ok(response)
}

/// Serves, and counts the connections.
async fn serve(listener: TcpListener, tls: Option<ServerConfig>, connections: Arc<AtomicUsize>) {
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            match tls {
                None => drop(server.serve_connection(TokioIo::new(stream), service_fn(tell)).await),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        drop(server.serve_connection(TokioIo::new(stream), service_fn(tell)).await);
                    }
                }
            }
        });
    }
}

/// A gateway before such an upstream.
async fn before(scheme: &str, address: SocketAddr, settings: UpstreamSettings) -> Stage {
    let url = Url::parse(&format!("{scheme}://{address}")).expect("a URL");
    let upstream = Upstream::new(UpstreamSettings { urls: vec![url], ..settings }).expect("good settings");
    Stage::changed(|mut config, _| {
        config.routes[0].upstream = upstream;
        config
    })
    .await
}

async fn before_tls(authority: &Authority, tls: ServerConfig, settings: UpstreamSettings) -> Stage {
    let listener = bind().await;
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, Some(tls), Arc::default()));
    let settings = UpstreamSettings { ca_file: Some(authority.file("ca.pem")), ..settings };
    before("https", address, settings).await
}

#[tokio::test]
async fn the_version_is_agreed_on_over_tls_and_the_hosts_name_arrives() {
    let authority = Authority::new();
    // what the upstream offers, what is set, what is spoken
    for (offers, protocol, spoken) in [
        (&[&b"h2"[..], b"http/1.1"][..], Protocol::Auto, "HTTP/2.0"),
        (&[b"http/1.1"], Protocol::Auto, "HTTP/1.1"),
        (&[], Protocol::Auto, "HTTP/1.1"),
        (&[b"h2", b"http/1.1"], Protocol::Http1, "HTTP/1.1"),
        (&[b"h2"], Protocol::H2, "HTTP/2.0"),
    ] {
        let tls = server_config(&authority, "127.0.0.1", offers, false);
        let settings = UpstreamSettings { protocol, ..UpstreamSettings::default() };
        let stage = before_tls(&authority, tls, settings).await;
        let mut alice = stage.signed_in().await;
        for _ in 0..3 {
            let answer = alice.send(Method::POST, "/", &[], "body").await;
            let expected = format!("{spoken} {} None None 4", stage.gateway.address);
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, expected), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn http2_by_prior_knowledge_carries_many_requests_on_one_connection() {
    let listener = bind().await;
    let address = listener.local_addr().expect("an address");
    let connections = Arc::<AtomicUsize>::default();
    tokio::spawn(serve(listener, None, connections.clone()));
    let settings = UpstreamSettings { protocol: Protocol::H2, ..UpstreamSettings::default() };
    let stage = before("http", address, settings).await;
    let alice = stage.signed_in().await;
    let asked = (0..50).map(|_| {
        let mut alice = alice.clone();
        tokio::spawn(async move { alice.fetch("/").await.text() })
    });
    for asked in asked.collect::<Vec<_>>() {
        let text = asked.await.expect("no panic");
        assert!(text.starts_with("HTTP/2.0"), "{text}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_is_trusted_but_whom_the_authority_vouches_for_under_the_right_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let named = |name: &str| UpstreamSettings { server_name: Some(name.into()), ..UpstreamSettings::default() };
    // who vouches, for which name, what is expected, and whether it is trusted
    for (what, tls, settings, trusted) in [
        ("another authority", server_config(&stranger, "127.0.0.1", &[], false), UpstreamSettings::default(), false),
        ("another name", server_config(&authority, "app.internal", &[], false), UpstreamSettings::default(), false),
        ("the name that is set", server_config(&authority, "app.internal", &[], false), named("app.internal"), true),
        ("not the name that is set", server_config(&authority, "127.0.0.1", &[], false), named("app.internal"), false),
    ] {
        let stage = before_tls(&authority, tls, settings).await;
        let answer = stage.signed_in().await.fetch("/").await;
        match trusted {
            true => assert_eq!(answer.status, StatusCode::OK, "{what}"),
            false => assert_eq!(answer.verdict(), (502, "upstream_unreachable".into()), "{what}"),
        }
    }
}

#[tokio::test]
async fn an_upstream_that_wants_to_see_a_certificate_is_shown_ours() {
    let authority = Authority::new();
    let (certificates, key) = authority.vouch_for("gateway");
    let introduced = ClientCertificate { certificates, key };
    for (client_certificate, status) in [(Some(introduced), StatusCode::OK), (None, StatusCode::BAD_GATEWAY)] {
        let tls = server_config(&authority, "127.0.0.1", &[], true);
        let settings = UpstreamSettings { client_certificate, ..UpstreamSettings::default() };
        let stage = before_tls(&authority, tls, settings).await;
        assert_eq!(stage.signed_in().await.fetch("/").await.status, status);
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let authority = Authority::new();
    let url = || Url::parse("https://127.0.0.1:1").expect("a URL");
    let (certificates, _) = authority.vouch_for("one");
    let (_, key) = authority.vouch_for("other");
    std::fs::write(authority.file("empty.pem"), "nothing").expect("written");
    let at = |ca_file: &Path| UpstreamSettings { ca_file: Some(ca_file.to_owned()), ..UpstreamSettings::at(url()) };
    let good = || at(&authority.file("ca.pem"));
    let plain = Url::parse("http://127.0.0.1:1").expect("a URL");
    let below = Url::parse("https://127.0.0.1:1/below").expect("a URL");
    for (what, settings, key) in [
        ("no target", UpstreamSettings::default(), "urls"),
        ("two schemes", UpstreamSettings { urls: vec![url(), plain], ..good() }, "urls"),
        ("two paths", UpstreamSettings { urls: vec![url(), below], ..good() }, "urls"),
        ("a file that is not there", at(&authority.file("absent.pem")), "ca_file"),
        ("a file without certificates", at(&authority.file("empty.pem")), "ca_file"),
        ("no name", UpstreamSettings { server_name: Some("a b".into()), ..good() }, "server_name"),
        (
            "a key that is not the certificate's",
            UpstreamSettings { client_certificate: Some(ClientCertificate { certificates, key }), ..good() },
            "client_key_file",
        ),
    ] {
        let fault = Upstream::new(settings).expect_err(what);
        assert_eq!(fault.key, key, "{what}: {fault}");
    }
    Upstream::new(good()).expect("good settings");
}

/// Trailers of a request and of its answer, from HTTP/1.1 to HTTP/2 and back.
#[tokio::test]
async fn trailers_pass_from_one_version_to_the_other() {
    let listener = bind().await;
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, None, Arc::default()));
    let settings = UpstreamSettings { protocol: Protocol::H2, ..UpstreamSettings::default() };
    let stage = before("http", address, settings).await;
    let alice = stage.signed_in().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\nTrailer: x-came\r\n\
                Transfer-Encoding: chunked\r\n";
    let body = "4\r\nbody\r\n0\r\nx-came: yes\r\n\r\n";
    let answer = crate::harness::raw(stage.gateway.address, format!("{head}{}\r\n{body}", alice.cookie_line())).await;
    let expected = format!("{:?} a Some(\"trailers\") Some(\"yes\") 4", Version::HTTP_2);
    assert!(answer.contains(&expected), "{answer}");
    assert!(answer.ends_with("0\r\ngrpc-status: 0\r\n\r\n"), "{answer}");
}
