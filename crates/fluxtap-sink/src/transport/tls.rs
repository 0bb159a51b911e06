//! Whom TLS trusts and who we are: certificates from files, and connections made with them.
//! Verification cannot be switched off; a receiver of one's own gets its authority named.

use super::Fault;
use crate::options::TlsOptions;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Largest file of certificates, keys or tokens, in octets; the bundle of a system has some
/// hundred thousand.
const FILE_OCTETS_MAX: u64 = 4 << 20;

/// What the files of [`TlsOptions`] hold.
pub(crate) struct Trust {
    /// For connections of our own.
    pub(crate) config: Arc<ClientConfig>,
    /// Authorities.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// Our certificates, and their key as PEM.
    pub(crate) identity: Option<(Vec<CertificateDer<'static>>, Vec<u8>)>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Which file cannot be used and why.
    pub(crate) fn read(options: &TlsOptions) -> Result<Self, String> {
        let roots = match &options.ca_file {
            Some(path) => certificates(path)?,
            None => system_roots()?,
        };
        let mut store = RootCertStore::empty();
        let (_, unusable) = store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            let of = options.ca_file.as_ref().map_or("the system".into(), |p| p.to_string_lossy());
            return Err(format!(
                "{of}: got {unusable} certificates that cannot be used as authorities, expected \
                 one at least that can; name another file with ca_file"
            ));
        }
        let identity = match &options.identity {
            Some((chain, key)) => Some((certificates(chain)?, read_file(key)?)),
            None => None,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .with_root_certificates(store);
        let config = match (&identity, &options.identity) {
            (Some((chain, key)), Some((chain_path, key_path))) => builder
                .with_client_auth_cert(chain.clone(), private_key(key, key_path)?)
                .map_err(|error| {
                    format!(
                        "cannot use {} with {}: {error}; expected a certificate and its own key",
                        chain_path.display(),
                        key_path.display()
                    )
                })?,
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), roots, identity })
    }
}

/// The cryptography of all connections.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Connects to `host:port` within a time, trying its addresses in turn.
pub(crate) fn connect(address: &str, timeout: Duration) -> Result<TcpStream, Fault> {
    let addresses = address
        .to_socket_addrs()
        .map_err(|error| Fault::new(format!("cannot look up {address}: {error}")))?;
    let mut last = io::Error::other("no address has that name");
    for found in addresses {
        match TcpStream::connect_timeout(&found, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Fault::new(format!("cannot connect to {address}: {last}")))
}

/// The name in `host:port` as certificates have it.
pub(crate) fn server_name(address: &str) -> Result<ServerName<'static>, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| {
        format!("got '{host}', expected the name or address of a host that a certificate can have")
    })
}

/// A small file, whole.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| {
        format!("cannot read {}: {error}; name a file that the sensor may read", path.display())
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(FILE_OCTETS_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_OCTETS_MAX {
        return Err(format!("{}: got more than {FILE_OCTETS_MAX} octets", path.display()));
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let place = path.display();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "{place}: got no certificate, expected one or more as PEM (-----BEGIN CERTIFICATE-----)"
        )),
        Err(error) => Err(format!("{place}: got no sound PEM: {error}; expected certificates")),
    }
}

fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        format!("{}: got no private key: {error}; expected one as PEM, unencrypted", path.display())
    })
}

/// The authorities that the system trusts.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
        return Err(format!(
            "got no certificates of authorities from the system{why}, expected some; install \
             ca-certificates, or name a file with ca_file"
        ));
    }
    Ok(found.certs)
}
