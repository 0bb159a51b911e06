//! What a sink is told to be. The program makes these of its settings.

use crate::record::{Form, Record};
use std::path::PathBuf;
use std::time::Duration;

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Its name: a folder of the spool is called so, and messages and metrics call it so.
    pub name: String,
    /// The form it delivers.
    pub form: Form,
    /// What it lets pass.
    pub filter: Filter,
    /// Whether [`crate::Delivery::open`] fails if its receiver cannot be reached.
    pub is_required: bool,
    /// Longest that one exchange with the receiver may take.
    pub timeout: Duration,
    /// Where it delivers to.
    pub target: Target,
}

/// Which records a sink delivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The least severity; records without one pass.
    pub severity_min: u8,
    /// The kinds; none means all.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Whether a record passes.
    #[must_use]
    pub fn passes(&self, record: &Record) -> bool {
        record.severity.is_none_or(|severity| severity >= self.severity_min)
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind))
    }
}

/// Where a sink delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output. It has no spool: what was written is gone, and so is what was not when the
    /// program ends.
    Stdout,
    /// A file that lines are appended to.
    File(FileOptions),
    /// A syslog receiver, RFC 5424.
    Syslog(SyslogOptions),
    /// An HTTP receiver.
    Http(HttpOptions),
}

impl Target {
    /// The word for it in settings and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Http(options) => match options.dialect {
                Dialect::Webhook => "webhook",
                Dialect::Elasticsearch { .. } => "elasticsearch",
                Dialect::SplunkHec { .. } => "splunk_hec",
            },
        }
    }
}

/// A file that lines are appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file.
    pub path: PathBuf,
    /// Rotate it before it grows beyond this; `None` never.
    pub rotate_octets: Option<u64>,
    /// Rotate it when it is this old; `None` never.
    pub rotate_age: Option<Duration>,
    /// How many rotated files are kept: `path.1` is the youngest.
    pub rotate_keep: u32,
}

/// A syslog receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogOptions {
    /// Where it listens, and how it is spoken to.
    pub transport: SyslogTransport,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Name of this host, as messages carry it.
    pub host: String,
}

/// How a syslog receiver is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// RFC 5426, to `host:port`. Nobody says whether a datagram arrived.
    Udp(String),
    /// RFC 6587 with octet counting, to `host:port`.
    Tcp(String),
    /// RFC 5425, to `host:port`.
    Tls(String, TlsOptions),
    /// A socket in the file system, of datagrams as `/dev/log` is, or else a stream.
    Unix(PathBuf),
}

/// Whom TLS trusts, and who it says that we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificates of authorities, PEM; `None` takes those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate chain and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Where batches are posted to; of Elasticsearch the server alone.
    pub url: String,
    /// Name of this host, where events carry one.
    pub host: String,
    /// What a batch looks like and how it is answered.
    pub dialect: Dialect,
    /// Whom TLS trusts.
    pub tls: TlsOptions,
    /// File whose first line is the secret; `None` sends none.
    pub token_file: Option<PathBuf>,
    /// What the secret is.
    pub auth: Auth,
    /// Most records of a batch.
    pub batch_records: usize,
    /// About the most octets of a batch, before compression.
    pub batch_octets: usize,
    /// How long a batch waits for more records.
    pub batch_wait: Duration,
    /// Whether batches are compressed with gzip.
    pub is_gzip: bool,
    /// A proxy, `http://host:port`; variables of the environment are not looked at.
    pub proxy: Option<String>,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer SECRET`, RFC 6750.
    Bearer,
    /// `Authorization: Basic`, RFC 7617; the secret is `user:password`.
    Basic,
    /// `Authorization: ApiKey SECRET`, as Elasticsearch has it.
    ApiKey,
    /// `Authorization: Splunk SECRET`.
    Splunk,
}

/// What a batch looks like and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Lines, one JSON object each (`application/x-ndjson`); any 2xx is a yes.
    Webhook,
    /// The bulk API of Elasticsearch and OpenSearch; each document has its own answer.
    Elasticsearch {
        /// Index or data stream.
        index: String,
    },
    /// The HTTP Event Collector of Splunk.
    SplunkHec {
        /// Index; `None` leaves it to the token.
        index: Option<String>,
        /// Source type.
        sourcetype: String,
    },
}

/// Where undelivered records wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Folder with one folder a sink in it.
    pub folder: PathBuf,
    /// Most octets of one sink.
    pub octets_max: u64,
    /// When records are made safe from a loss of power.
    pub sync: Sync,
}

/// When records are made safe from a loss of power; a crash of the program alone loses none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before they are sent, those that come at one time together.
    Each,
    /// Once a second.
    Second,
    /// When the system likes.
    Never,
}
