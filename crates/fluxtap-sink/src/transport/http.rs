//! HTTP receivers: batches of lines posted, and what the answers mean for each line.

use super::reply::{self, Status};
use super::tls::{self, Trust};
use super::{Answer, Fault, Transport};
use crate::options::{Auth, Dialect, HttpOptions, SinkOptions};
use crate::record::{Form, Item};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

/// Longest answer that is read, in octets; a bulk of Elasticsearch has some hundred a line.
const ANSWER_OCTETS_MAX: u64 = 8 << 20;

pub(crate) struct Http {
    options: HttpOptions,
    timeout: Duration,
    form: Form,
    agent: Agent,
    trust: Option<Trust>,
    authorization: Option<String>,
}

impl Http {
    pub(crate) fn new(options: HttpOptions, sink: &SinkOptions) -> Result<Self, String> {
        let is_secure = options.url.starts_with("https:");
        let trust = if is_secure { Some(Trust::read(&options.tls)?) } else { None };
        let agent = agent(&options, sink.timeout, trust.as_ref())?;
        let authorization = authorization(&options)?;
        Ok(Self { timeout: sink.timeout, form: sink.form, options, agent, trust, authorization })
    }

    /// `host:port` of the receiver.
    fn address(&self) -> String {
        let is_secure = self.options.url.starts_with("https:");
        let rest = self.options.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let has_port = authority.rsplit(']').next().unwrap_or_default().contains(':');
        match (has_port, is_secure) {
            (true, _) => authority.to_owned(),
            (false, true) => format!("{authority}:443"),
            (false, false) => format!("{authority}:80"),
        }
    }

    fn url(&self) -> String {
        let url = self.options.url.trim_end_matches('/');
        match &self.options.dialect {
            Dialect::Elasticsearch { index } => format!("{url}/{index}/_bulk"),
            _ => self.options.url.clone(),
        }
    }

    fn content_type(&self) -> &'static str {
        match (&self.options.dialect, self.form) {
            (Dialect::SplunkHec { .. }, _) => "application/json",
            (_, Form::Json) => "application/x-ndjson",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// The lines of a batch as the receiver wants them.
    fn body(&self, items: &[Item]) -> Vec<u8> {
        let mut body = Vec::new();
        for item in items {
            match &self.options.dialect {
                Dialect::Webhook => body.extend_from_slice(item.text()),
                Dialect::Elasticsearch { .. } => {
                    let create = json!({ "create": { "_id": item.id } });
                    body.extend_from_slice(create.to_string().as_bytes());
                    body.push(b'\n');
                    body.extend_from_slice(item.text());
                }
                Dialect::SplunkHec { index, sourcetype } => {
                    body.extend_from_slice(&self.splunk_event(item, index.as_deref(), sourcetype));
                }
            }
            body.push(b'\n');
        }
        body
    }

    /// The line is put in as it is: what was written is what is indexed.
    fn splunk_event(&self, item: &Item, index: Option<&str>, sourcetype: &str) -> Vec<u8> {
        let mut about = Map::new();
        about.insert("host".to_owned(), json!(self.options.host));
        about.insert("source".to_owned(), json!("fluxtap"));
        about.insert("sourcetype".to_owned(), json!(sourcetype));
        if let Some(index) = index {
            about.insert("index".to_owned(), json!(index));
        }
        let about = Value::Object(about).to_string();
        let (seconds, of_second) = (item.at_ms / 1_000, item.at_ms % 1_000);
        let mut event = format!("{{\"time\":{seconds}.{of_second:03},").into_bytes();
        event.extend_from_slice(about.trim_start_matches('{').trim_end_matches('}').as_bytes());
        event.extend_from_slice(b",\"event\":");
        event.extend_from_slice(item.text());
        event.push(b'}');
        event
    }

    fn post(&self, items: &[Item]) -> Result<Status, Fault> {
        let body = self.body(items);
        let body = if self.options.is_gzip { gzip(&body) } else { body };
        let mut request = self.agent.post(self.url()).header("Content-Type", self.content_type());
        if self.options.is_gzip {
            request = request.header("Content-Encoding", "gzip");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let url = &self.options.url;
        let failed = |error: ureq::Error| Fault::new(format!("cannot post to {url}: {error}"));
        let mut response = request.send(&body).map_err(failed)?;
        let head = |name| {
            let value = response.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (retry_after, date) = (head("Retry-After"), head("Date"));
        let code = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_vec();
        // A refusal needs no words; a yes has to be heard to its end.
        let body = if (200..300).contains(&code) {
            body.map_err(failed)?
        } else {
            body.unwrap_or_default()
        };
        Ok(Status { code, retry_after, date, body })
    }
}

impl Transport for Http {
    fn send(&mut self, items: &[Item]) -> Answer {
        let status = match self.post(items) {
            Ok(status) => status,
            Err(fault) => return Answer::fault(fault),
        };
        if matches!(status.code, 401 | 403)
            && let Ok(authorization) = authorization(&self.options)
        {
            // Somebody may have changed the secret.
            self.authorization = authorization;
        }
        let mut answer = reply::judge(&self.options.dialect, items.len(), &status);
        if let Some(fault) = &mut answer.fault {
            fault.said = format!("{} {}", self.options.url, fault.said);
        }
        answer
    }

    fn reopen(&mut self) -> Result<(), String> {
        let authorization = authorization(&self.options)?;
        if self.trust.is_some() {
            let trust = Trust::read(&self.options.tls)?;
            self.agent = agent(&self.options, self.timeout, Some(&trust))?;
            self.trust = Some(trust);
        }
        self.authorization = authorization;
        Ok(())
    }

    /// Connects, and over TLS looks at the certificate; nothing is asked for.
    fn probe(&mut self) -> Result<(), Fault> {
        let address = match &self.options.proxy {
            Some(proxy) => proxy.split_once("://").map_or(proxy.as_str(), |(_, rest)| rest),
            None => &self.address(),
        };
        let stream = tls::connect(address.trim_end_matches('/'), self.timeout)?;
        let Some(trust) = self.trust.as_ref().filter(|_| self.options.proxy.is_none()) else {
            return Ok(());
        };
        let said = |error: &dyn std::fmt::Display| {
            Fault::new(format!("cannot speak TLS with {}: {error}", self.options.url))
        };
        stream.set_read_timeout(Some(self.timeout)).map_err(|error| said(&error))?;
        stream.set_write_timeout(Some(self.timeout)).map_err(|error| said(&error))?;
        let name = tls::server_name(address).map_err(|error| said(&error))?;
        let connection = ClientConnection::new(Arc::clone(&trust.config), name);
        let mut stream = StreamOwned::new(connection.map_err(|error| said(&error))?, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| said(&error))?;
        }
        Ok(())
    }
}

/// A client that follows nobody elsewhere, waits for nobody longer than it should, and looks at no
/// variable of the environment.
fn agent(options: &HttpOptions, timeout: Duration, trust: Option<&Trust>) -> Result<Agent, String> {
    let proxy = options.proxy.as_deref().map(Proxy::new).transpose();
    let proxy = proxy.map_err(|error| {
        // It may hold a password, so it is not shown.
        format!("the proxy cannot be used: {error}; expected http://host:port")
    })?;
    let builder = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("fluxtap/", env!("CARGO_PKG_VERSION")))
        .proxy(proxy);
    let builder = match trust {
        Some(trust) => builder.tls_config(tls_config(trust)),
        None => builder,
    };
    Ok(builder.build().new_agent())
}

fn tls_config(trust: &Trust) -> TlsConfig {
    let owned = |der: &rustls::pki_types::CertificateDer<'_>| {
        Certificate::from_der(der.as_ref()).to_owned()
    };
    let identity = trust.identity.as_ref().and_then(|(chain, key)| {
        let chain: Vec<_> = chain.iter().map(owned).collect();
        // It was read once already, for the connections of our own.
        Some(ClientCert::new_with_certs(&chain, PrivateKey::from_pem(key).ok()?))
    });
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(tls::provider())
        .root_certs(RootCerts::Specific(Arc::new(trust.roots.iter().map(owned).collect())))
        .client_cert(identity)
        .build()
}

/// The header that carries the secret, if there is one.
fn authorization(options: &HttpOptions) -> Result<Option<String>, String> {
    let Some(path) = &options.token_file else { return Ok(None) };
    let bytes = tls::read_file(path)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let secret = text.lines().next().unwrap_or_default().trim();
    if secret.is_empty() || !secret.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(format!(
            "{}: got no secret, expected one in printable ASCII on the first line",
            path.display()
        ));
    }
    Ok(Some(match options.auth {
        Auth::Bearer => format!("Bearer {secret}"),
        Auth::Basic => format!("Basic {}", STANDARD.encode(secret)),
        Auth::ApiKey => format!("ApiKey {secret}"),
        Auth::Splunk => format!("Splunk {secret}"),
    }))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
