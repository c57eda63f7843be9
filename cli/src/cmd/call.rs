//! `client call NAME SERVICE/METHOD`: any method of any server.

use crate::Error;
use crate::args::{Call, Options};
use crate::call::call;
use crate::caller::Caller;
use crate::output;
use crate::schema;

/// Calls the method and prints each response as JSON.
pub(super) async fn run(options: Options, args: Call) -> Result<(), Error> {
    let format = options.output;
    let (source, headers) = args.request.into_parts();
    let caller = Caller::connect(options, headers, &args.name).await?;
    let method = schema::method(&caller, &args.method).await?;
    let show = |message: &_| output::message(format, message, output::pretty);
    call(&caller, &method, source, show).await
}
