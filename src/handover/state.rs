use super::connection::Connection;
use super::error::Cause;
use super::message::{AttachmentSize, Message};

/// What the old process knows, for the new one to go on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// A text that both sides understand, such as JSON; nothing is known of it here.
    pub(crate) document: Vec<u8>,
    /// What would be wasteful in a text.
    pub(crate) attachments: Vec<Attachment>,
}

/// Bytes with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of a state, attachments included.
pub(crate) const MOST_STATE: u64 = 256 << 20;

impl State {
    pub(super) async fn give(&self, connection: &mut Connection) -> Result<(), Cause> {
        let sizes = self.attachments.iter().map(|attachment| AttachmentSize {
            name: attachment.name.clone(),
            size: attachment.bytes.len() as u64,
        });
        let attachments: Vec<_> = sizes.collect();
        let document = self.document.len() as u64;
        check(document, &attachments)?;
        connection.say(&Message::State { document, attachments }).await?;
        connection.give_bytes(&self.document).await?;
        for attachment in &self.attachments {
            connection.give_bytes(&attachment.bytes).await?;
        }
        Ok(())
    }

    /// Takes what a message has announced.
    pub(super) async fn take(
        connection: &mut Connection,
        document: u64,
        sizes: Vec<AttachmentSize>,
    ) -> Result<Self, Cause> {
        check(document, &sizes)?;
        let document = connection.take_bytes(to_usize(document)).await?;
        let mut attachments = Vec::new();
        for AttachmentSize { name, size } in sizes {
            attachments.push(Attachment { name, bytes: connection.take_bytes(to_usize(size)).await? });
        }
        Ok(Self { document, attachments })
    }
}

fn check(document: u64, attachments: &[AttachmentSize]) -> Result<(), Cause> {
    let size = attachments.iter().fold(document, |sum, attachment| sum.saturating_add(attachment.size));
    if size > MOST_STATE {
        return Err(Cause::TooLarge { what: "a state", size, most: MOST_STATE });
    }
    Ok(())
}

/// Sizes were checked before.
fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
