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

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_due(&self) -> bool {
        *self.wish.borrow() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until it is.
    pub async fn wanted(&self) {
        let mut wish = self.wish.subscribe();
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = wish.wait_for(|wish| *wish) => {}
            () = deadline => {}
        }
    }
}
