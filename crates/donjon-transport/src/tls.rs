use std::{error::Error, fmt, sync::Arc};

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A certificate authority to trust, checked when it is made.
///
/// ```
/// use donjon_transport::RootCertificate;
///
/// assert!(RootCertificate::from_pem(b"not a certificate").is_err());
/// ```
#[derive(Clone)]
pub struct RootCertificate(CertificateDer<'static>);

/// What was given is not an X.509 certificate that can be a trust anchor.
#[derive(Debug)]
pub struct InvalidCertificate(Box<dyn Error + Send + Sync>);

// ===== impl RootCertificate =====

impl RootCertificate {
    /// From DER.
    ///
    /// # Errors
    ///
    /// If it does not parse as a certificate.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, InvalidCertificate> {
        let der = CertificateDer::from(der.into());
        match RootCertStore::empty().add(der.clone()) {
            Ok(()) => Ok(Self(der)),
            Err(error) => Err(InvalidCertificate(error.into())),
        }
    }

    /// From PEM: the first certificate in it.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not parse.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidCertificate> {
        let der = CertificateDer::from_pem_slice(pem.as_ref())
            .map_err(|error| InvalidCertificate(error.to_string().into()))?;
        Self::from_der(der.as_ref())
    }
}

impl fmt::Debug for RootCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootCertificate({} bytes)", self.0.len())
    }
}

// ===== impl InvalidCertificate =====

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a certificate that can be trusted")
    }
}

impl Error for InvalidCertificate {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// TLS over this connector, with these roots and these protocols, the best one first.
pub(crate) fn connector(
    http: HttpConnector,
    webpki: bool,
    roots: &[RootCertificate],
    alpn: &[&[u8]],
) -> HttpsConnector<HttpConnector> {
    let mut store = RootCertStore::empty();
    if webpki {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for root in roots {
        store.add(root.0.clone()).expect("a root certificate was checked when it was made");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for the default versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    HttpsConnector::from((http, config))
}
