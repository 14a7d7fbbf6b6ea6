use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::time::{Instant, timeout};

use crate::types::Rarely;

use super::resp::write_command;
use super::{Breaker, Lane, RedisSettings, Reply, Script};

/// A Redis, reached over a few connections that all who ask share. They are made when somebody asks for the first time,
/// and live as long as this does.
#[derive(Debug)]
pub(crate) struct Redis {
    settings: Arc<RedisSettings>,
    lanes: Box<[Lane]>,
    next_lane: AtomicUsize,
    breaker: Breaker,
    /// How often it was asked, and how often somebody had to do without it.
    asked: AtomicU64,
    missed: AtomicU64,
    told: Rarely,
}

/// Why a store has not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("it has not answered in time")]
    Late,
    #[error("there is no connection to it")]
    Lost,
    #[error("too many are asking")]
    Full,
    #[error("it failed a moment ago")]
    Resting,
    #[error("it refused: {0}")]
    Refused(Box<str>),
    #[error("its answer makes no sense")]
    Nonsense,
}

impl Redis {
    pub(crate) fn new(settings: RedisSettings, now: Instant) -> Self {
        let settings = Arc::new(settings);
        let lane = || Lane::new(settings.clone());
        let lanes = std::iter::repeat_with(lane).take(settings.connections.max(1)).collect();
        Self {
            lanes,
            next_lane: AtomicUsize::new(0),
            breaker: Breaker::new(now),
            asked: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            told: Rarely::default(),
            settings,
        }
    }

    pub(crate) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// How often it was asked since the process began, or it was configured otherwise.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often somebody had to do without it, in the same time.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Runs the script on one key. Ends within the time that the store has; when that is up, the script may have been
    /// run nevertheless.
    ///
    /// # Errors
    /// When there is no answer to be had, which `read` must understand too.
    pub(crate) async fn run<T>(
        &self,
        script: &Script,
        key: &[u8],
        arguments: &[&[u8]],
        read: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T, StoreError> {
        if !self.breaker.lets_ask(Instant::now()) {
            return Err(StoreError::Resting);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = timeout(self.settings.timeout, self.run_unlimited(script, key, arguments)).await;
        let answer = answer.unwrap_or(Err(StoreError::Late));
        let answer = answer.and_then(|reply| read(reply).ok_or(StoreError::Nonsense));
        match answer {
            Ok(_) => self.breaker.answered(),
            Err(_) => self.breaker.failed(Instant::now()),
        }
        answer
    }

    /// Notes that somebody did without the store; told once a minute.
    pub(crate) fn miss(&self, error: &StoreError, instead: &str) {
        let missed = self.missed.fetch_add(1, Ordering::Relaxed) + 1;
        if self.told.may_tell(Instant::now()) {
            let RedisSettings { name, address, .. } = &*self.settings;
            log::warn!(
                "a store does not answer, {instead} store={name} at={address} missed={missed} error={error}"
            );
        }
    }

    async fn run_unlimited(
        &self,
        script: &Script,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        match self.call(b"EVALSHA", script.name().as_bytes(), key, arguments).await? {
            Reply::Error(error) if error.starts_with("NOSCRIPT") => {
                match self.call(b"EVAL", script.source().as_bytes(), key, arguments).await? {
                    Reply::Error(error) => Err(StoreError::Refused(error)),
                    reply => Ok(reply),
                }
            }
            Reply::Error(error) => Err(StoreError::Refused(error)),
            reply => Ok(reply),
        }
    }

    async fn call(
        &self,
        verb: &[u8],
        script: &[u8],
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        let head: [&[u8]; 4] = [verb, script, b"1", key];
        let mut command = BytesMut::with_capacity(256);
        write_command(&[&head, arguments].concat(), &mut command);
        let next = self.next_lane.fetch_add(1, Ordering::Relaxed);
        self.lanes[next % self.lanes.len()].ask(command).await
    }
}

#[cfg(test)]
mod tests;
