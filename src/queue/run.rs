//! A consumer's sessions, one after the other, until it is stopped or refused.

use tokio_util::sync::CancellationToken;

use crate::queue::broker::Ended;
use crate::queue::consumer::Consumer;
use crate::queue::hand::FIRST_PREFETCH;
use crate::queue::pauses::{Pauses, pause, pauses};
use crate::queue::session::Session;

/// What the broker refuses is tried this often: it may have been a moment's disorder.
const REFUSALS: u32 = 3;

/// The broker refuses, and will go on refusing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Consumer {
    /// Consumes until `stop` is cancelled; then finishes what is in flight and returns. Connects
    /// again after anything that is transient.
    ///
    /// # Errors
    /// When the broker has refused the credentials, the virtual host or a queue several times.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), Refused> {
        let mut pauses = pauses();
        // Of parking and storing: they grow until a batch is dealt with.
        let mut store_pauses: Pauses = Box::new(self::pauses());
        let mut refusals = 0;
        let mut prefetch = self.options.prefetch.min(FIRST_PREFETCH);
        let broker = self.options.address.to_string();
        while !stop.is_cancelled() {
            let session = Session::new(self, stop, prefetch);
            let ended = match session.begin().await {
                Ok(queues) => {
                    (pauses, refusals) = (self::pauses(), 0);
                    session.run(queues, &mut store_pauses).await
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Shutdown => return Ok(()),
                Ended::NotStored => continue,
                Ended::TooMuch(fitting) => {
                    tracing::info!(prefetch = fitting, "messages have become big; taking fewer");
                    prefetch = fitting;
                    continue;
                }
                Ended::Lost(reason) => {
                    tracing::warn!(broker, reason, "connection lost; connecting again");
                }
                Ended::Refused(reason) => {
                    refusals += 1;
                    if refusals == REFUSALS {
                        return Err(Refused(format!("{broker}: {reason}")));
                    }
                    tracing::error!(broker, reason, "refused; trying again");
                }
            }
            pause(&mut pauses, stop).await;
        }
        Ok(())
    }
}
