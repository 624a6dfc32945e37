//! `--watch`: what it needs, and how a run begins with it.

use crate::args::EnrichArgs;
use crate::firestore::Watching;
use crate::signal::Signals;
use crate::source::url::{self, Place, shown};
use anyhow::{Result, bail};

/// Refuses what could not be watched, or would be in vain.
pub(super) fn refuse_vain(args: &EnrichArgs) -> Result<()> {
    if !args.watch {
        return Ok(());
    }
    if !matches!(url::parse(&args.source)?, Place::Firestore(_)) {
        bail!(
            "--watch: follows the changes of a collection of Firestore, which --source {} is not; \
             give --source firestore://PROJECT/COLLECTION",
            shown(&args.source)
        );
    }
    if args.redis.go_compatible {
        bail!(
            "--watch: cannot be used with --go-compatible: what a watch does not know of is \
             emptied, and a Redis that is shared with the Go package cannot be"
        );
    }
    if args.memory == 0 && args.redis.url.is_none() {
        bail!("--watch: there is nothing to keep up: --memory is 0, and there is no --redis");
    }
    Ok(())
}

/// Waits until the tiers are kept up, as long as the watch waits for that or until a signal comes,
/// which is the pipeline's; from then on, what is wrong with it is told, if anything is to be.
pub(super) async fn begin(
    watching: &Watching,
    mut signals: Signals,
    speak: Option<impl Fn(&str) + Send + Sync + 'static>,
) {
    let warning = tokio::select! {
        _ = signals.first() => return,
        warning = watching.catch_up() => warning,
    };
    if let Some(speak) = speak {
        warning.iter().for_each(|warning| speak(&format!("warning: {warning}")));
        tokio::spawn(watching.clone().tell(speak));
    }
}
