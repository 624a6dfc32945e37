//! Something that a run can go on without, and what is said when it goes down and is back.

use std::time::Duration;

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(100);

/// How something stands.
pub(crate) enum Stands {
    Well,
    /// Neither is known to be so.
    #[cfg_attr(not(feature = "firestore"), expect(dead_code, reason = "only a watch is"))]
    Between,
    /// With what to warn of.
    Down(String),
}

/// Warns when it goes down, and says `back` when it is well again, for as long as it is polled.
/// `was_down` says that of a beginning all is said already.
pub(crate) async fn tell(
    stands: impl Fn() -> Stands,
    mut was_down: bool,
    back: &str,
    say: impl Fn(&str),
) {
    loop {
        tokio::time::sleep(PAUSE).await;
        match stands() {
            Stands::Down(warning) if !was_down => {
                say(&format!("warning: {warning}"));
                was_down = true;
            }
            Stands::Well if was_down => {
                say(back);
                was_down = false;
            }
            _ => {}
        }
    }
}
