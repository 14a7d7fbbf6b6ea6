//! What is running: the immutable [`Snapshot`], how it is built from a `Config`, and how requests reach it.

mod admin;
mod answer;
mod assemble;
mod audit;
mod caches;
mod carried;
mod cause;
mod changes;
mod connection;
mod control;
mod debug;
mod drift;
mod edge_paths;
mod ending;
mod explain;
mod explain_l4;
mod explain_now;
mod explain_split;
mod generation;
mod grpc;
mod heritage;
mod jobs;
mod lately;
mod listener;
mod listener_counts;
mod listener_stats;
mod listeners;
mod live;
mod pace;
mod pacing;
mod peer;
mod peer_tls;
mod question;
mod recording;
mod registry;
mod replay;
mod report;
mod route;
mod route_stats;
mod routing;
mod secret_file;
mod series;
mod snapshot;
mod split_status;
mod stage_watch;
mod status;
mod step_stats;
mod stores;
mod summary;
mod tap;
mod tls_files;
mod tracing;
mod transitions;
mod trust;
mod waiting;
mod watchers;
mod way;
mod windows;

pub(crate) use admin::{Admin, AdminService, Via};
pub(crate) use answer::{ANSWERED, ErrorAnswer, ErrorBody, error_answer};
pub(crate) use assemble::{Assembled, assemble, assemble_again};
#[cfg(test)]
pub(crate) use audit::DeedResult;
pub(crate) use audit::{Actor, Audit, AuditEntry, Deed, What};
pub(crate) use caches::{FolderTaken, reserve_folders};
pub(crate) use cause::{Cause, TlsFault};
#[cfg(test)]
pub(crate) use changes::Unchanging;
pub(crate) use changes::{
    Applied, ChangeCounts, Changes, NotUpgraded, Probation, Refused, Report, UpgradeOrder, Upgraded, Verdict,
};
pub(crate) use connection::{Connection, ConnectionTls, LastTrailers, ip_value};
pub(crate) use control::{Control, ControlError, Drain, EjectionTime, Recent, Target};
pub(crate) use debug::{DebugKey, EVENER_DEBUG, EVENER_DECISION, Signed, decision};
pub(crate) use drift::{Compared, Draft, Drift, DriftKind, Drifted, FileStanding, targets_of_weights};
pub(crate) use ending::{BrokenOff, Ending, LAST_LOOK, Lasting, Stage, WeakEnding};
pub(crate) use explain::{Question, Unanswerable, explain};
pub(crate) use generation::{Generation, Standing, Why};
pub(crate) use grpc::{
    GRPC, GRPC_TIMEOUT, GrpcStatus, grpc_trailers, is_endless, parse_timeout, timeout_value,
};
pub(crate) use heritage::{Heritage, Parcel};
pub(crate) use jobs::run_jobs;
pub(crate) use lately::{Lately, SetLevel};
pub(crate) use listener::{Listener, TcpService, UdpService};
pub(crate) use listener_counts::{Counted, ListenerCounts};
pub(crate) use listener_stats::{HandshakeEnd, ListenerStats};
pub(crate) use listeners::{ListenerIds, Listeners};
pub(crate) use live::Live;
pub(crate) use pacing::{Hold, Pacing, Room};
pub(crate) use peer::{Ends, Peer};
pub(crate) use question::WrittenQuestion;
pub(crate) use recording::{
    Asked, Attempt, Ended, FilterRun, FilterVerdict, OutOfWork, Outcome, PickRun, Recording, Routing,
    SplitRun, WaitedFor, WhyAttempt,
};
pub(crate) use registry::Registry;
pub(crate) use replay::{Replay, Replayed, Side};
pub(crate) use report::RequestReport;
pub(crate) use route::{Action, Route, Step};
pub(crate) use route_stats::{CauseCounts, RouteStats};
pub(crate) use routing::find_route;
pub(crate) use secret_file::{CannotSave, SecretFile};
pub(crate) use series::{Sample, keep_series};
pub(crate) use snapshot::Snapshot;
pub(crate) use split_status::SplitStatus;
pub(crate) use stage_watch::StageWatch;
#[cfg(test)]
pub(crate) use status::CacheDiskStatus;
pub(crate) use status::{
    CacheDiskUse, CacheStatus, CertificateStatus, EndpointStatus, ListenerStatus, PoolStatus, RouteStatus,
    Status,
};
pub(crate) use step_stats::{Decision, StepStats};
pub(crate) use summary::summary;
pub(crate) use tap::{Tap, TapFilter, TapStatus, TooManyTaps};
pub(crate) use tls_files::TlsFiles;
pub(crate) use transitions::TransitionStatus;
pub(crate) use trust::{forwarded_client, is_certificate_claim, is_refused_method, refusal};
pub(crate) use waiting::Waiting;
pub(crate) use watchers::{Uses, Watchers};
pub(crate) use windows::turn_windows;
