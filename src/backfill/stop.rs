//! When a walk has to stop: because somebody says so, or time runs out.

use tokio::sync::watch;
use tokio::time::Instant;

/// A wish to stop, which walks look for between one chunk and the next.
#[derive(Debug)]
pub struct Stop {
    wish: watch::Sender<bool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// None yet; from `deadline` on there is one.
    #[must_use]
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { wish: watch::Sender::new(false), deadline }
    }

    /// Wishes to stop.
    pub fn now(&self) {
        self.wish.send_replace(true);
    }

    /// Whether somebody wishes to stop.
    #[must_use]
    pub fn is_wished(&self) -> bool {
        *self.wish.borrow()
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_wished() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until somebody wishes to.
    pub async fn wished(&self) {
        // The sender is this one, and lives as long.
        self.wish.subscribe().wait_for(|wish| *wish).await.ok();
    }

    /// Waits until it is time to.
    pub async fn wanted(&self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wished() => {}
            () = deadline => {}
        }
    }
}
