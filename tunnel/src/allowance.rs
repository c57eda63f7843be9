//! So many at once, and back in so much time: a token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// What a peer may still do of something.
#[derive(Debug)]
pub struct Allowance {
    left: u32,
    most: u32,
    whole_in: Duration,
    since: Instant,
}

impl Allowance {
    /// Begins with `most`, and is whole again `whole_in` after it was used up. So no stretch of time as
    /// long as that sees more than twice `most`.
    #[must_use]
    pub fn new(most: u32, whole_in: Duration) -> Self {
        Self { left: most, most, whole_in, since: Instant::now() }
    }

    /// Whether nothing of it is used.
    pub fn is_whole(&mut self) -> bool {
        self.forgive();
        self.left == self.most
    }

    /// Whether less than half of it is left.
    pub fn is_low(&mut self) -> bool {
        self.forgive();
        self.left < self.most / 2
    }

    /// Whether there was so much left to spend.
    pub fn spend(&mut self, amount: u32) -> bool {
        if self.left < amount {
            self.forgive();
        }
        let left = self.left.checked_sub(amount);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// There is more to spend, though never more than at the beginning.
    pub fn earn(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(self.most);
    }

    /// Adds what has come in with time: only when it is needed, so that spending costs no look at the clock.
    fn forgive(&mut self) {
        let share = self.since.elapsed().div_duration_f64(self.whole_in);
        let forgiven = (share * f64::from(self.most)) as u32;
        if forgiven > 0 {
            self.since = Instant::now();
            self.earn(forgiven);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_earned_and_forgiven() {
        let mut allowance = Allowance::new(10, Duration::from_millis(2500));
        assert!(allowance.spend(5));
        assert!(!allowance.is_low());
        assert!(allowance.spend(5));
        assert!(allowance.is_low());
        assert!(!allowance.spend(1));
        allowance.earn(2);
        assert!(allowance.spend(2));
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(allowance.spend(1));
        assert!(!allowance.spend(1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(!allowance.spend(11));
        assert!(allowance.spend(10));
    }
}
