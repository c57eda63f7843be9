//! An auth file, and the tokens that it lists by their SHA-256.

use super::certs::{Certs, text};
use super::programs::{ANY_PORT, Hub};

/// Good for registering `berlin-*`.
pub(crate) const AGENT_TOKEN: &str = "only-the-agent-knows-this";
/// Good for calling every name.
pub(crate) const CALLER_TOKEN: &str = "only-the-caller-knows-this";

const FILE: &str = "
[[agents]]
id = 'berlin'
names = ['berlin-*']
token_sha256 = 'e50c744f66b167973e74772142e87c3e8a80dac5d9924c03b90144ea7ba89d11'

[[callers]]
id = 'ops'
names = ['*']
token_sha256 = '21e4d77e5f6e5f13bf87b798ad88d97c21fa9e687b2e9aa77f04c2c8e2b04cd1'
";

/// Starts a hub with this auth file, kept beside `certs`, and with variables in its environment.
pub(crate) async fn hub(certs: &Certs, env: &[(&str, &str)]) -> Hub {
    let file = certs.file("auth.toml", FILE);
    Hub::start_at(ANY_PORT, &["--auth-file", text(&file)], env).await
}
