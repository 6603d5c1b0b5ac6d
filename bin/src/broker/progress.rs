//! How far tasks are, for those who listen now: the newest values, in no stream, and none while nobody can be reached.

use async_nats::Client;
use keepwell_actors::Handle;

use super::subjects::Subjects;

/// Tells it until the connection is lost. What cannot be sent fast enough is replaced by what is newer.
pub async fn tell(client: &Client, handle: &Handle, subjects: &Subjects) {
    let subject = subjects.progress();
    if let Some(mut told) = handle.subscribe_to_progress() {
        while let Some(progress) = told.next().await {
            let Ok(json) = serde_json::to_vec(&*progress) else { continue };
            if client.publish(subject.clone(), json.into()).await.is_err() {
                break;
            }
        }
    }
    // The connection's end, or the last event, ends this.
    std::future::pending().await
}
