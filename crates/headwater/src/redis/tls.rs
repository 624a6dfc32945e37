//! Certificates: whom a connection trusts, and what it shows of itself.

use crate::{Error, ErrorKind, Result};
use ::redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

/// What was asked for beyond the system's trust.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    authority: Option<Vec<u8>>,
    identity: Option<ClientTlsConfig>,
}

impl Tls {
    pub(super) fn set_authority(&mut self, pem: Vec<u8>) {
        self.authority = Some(pem);
    }

    pub(super) fn set_identity(&mut self, client_cert: Vec<u8>, client_key: Vec<u8>) {
        self.identity = Some(ClientTlsConfig { client_cert, client_key });
    }

    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        let is_asked_for = self.authority.is_some() || self.identity.is_some();
        is_asked_for.then(|| TlsCertificates {
            client_tls: self.identity.clone(),
            root_cert: self.authority.clone(),
        })
    }

    /// The same server, with these certificates.
    pub(super) fn applied_to(&self, info: ConnectionInfo) -> Result<ConnectionInfo> {
        let Some(certificates) = self.certificates() else { return Ok(info) };
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let message = "tls_ca and tls_identity are for rediss:// URLs only";
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        if self.authority.as_deref().is_some_and(|pem| !has_certificate(pem)) {
            return Err(Error::new(ErrorKind::InvalidConfig, "tls_ca: no certificate in PEM form"));
        }
        let client = Client::build_with_tls(info, certificates).map_err(|error| {
            let message = "tls_ca or tls_identity: a certificate or a key that cannot be read";
            Error::new(ErrorKind::InvalidConfig, message).with_source(error)
        })?;
        Ok(client.get_connection_info().clone())
    }
}

/// The client takes a text without any certificate for a list of none, which trusts nobody.
fn has_certificate(pem: &[u8]) -> bool {
    let begin = b"-----BEGIN CERTIFICATE-----";
    pem.windows(begin.len()).any(|part| part == begin)
}
