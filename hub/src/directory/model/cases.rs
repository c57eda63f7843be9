//! What once went wrong, or might, one by one.

use super::*;

/// A hub that has just found its etcd, in a model of its own.
async fn joined() -> Model {
    let mut model = Model::new();
    model.step(Step::Join(0)).await;
    sleep(BETWEEN).await;
    model
}

fn owners(model: &Model) -> Vec<(String, String)> {
    model.etcd.written("/grpc-hub/owners/")
}

/// With the lease that the hub had when it was written; which ends.
#[tokio::test(start_paused = true)]
async fn a_late_write_takes_no_name_from_who_has_it() {
    let mut model = joined().await;
    model.late(0, 1, 10, true).await;
    assert_eq!(owners(&model), [("name-0/1-of-0".to_owned(), "agent-0".to_owned())]);
    sleep(SETTLED).await;
    model.check_settled();
}

/// Of what its agent had before it left, and came back.
#[tokio::test(start_paused = true)]
async fn a_late_delete_takes_no_name_from_who_has_it() {
    let mut model = joined().await;
    model.step(Step::Claim(0, 0, 0)).await;
    model.etcd.set_health(Health::Late);
    model.step(Step::Empty(0)).await;
    sleep(BETWEEN).await;
    model.etcd.set_health(Health::Away);
    sleep(BETWEEN).await;
    model.etcd.set_health(Health::Well);
    sleep(SETTLED).await;
    model.step(Step::Claim(0, 0, 0)).await;
    model.etcd.late_arrives();
    sleep(SETTLED).await;
    model.check_settled();
}

/// Nor a hub its place.
#[tokio::test(start_paused = true)]
async fn a_late_write_takes_no_hub_out() {
    let mut model = Model::new();
    model.etcd.set_health(Health::Late);
    model.step(Step::Join(0)).await;
    sleep(DIRECTORY_TIMEOUT + BETWEEN).await;
    model.etcd.set_health(Health::Well);
    // It may have tried once more just before. The lease that is late lasts for longer.
    sleep(DIRECTORY_TIMEOUT * 3 / 2).await;
    model.check_settled();
    model.etcd.late_arrives();
    sleep(SETTLED).await;
    model.check_settled();
}

/// What was taken back is its agent's no more, though the answer was lost.
#[tokio::test(start_paused = true)]
async fn who_comes_back_while_nothing_is_heard_does_not_have_what_another_gets() {
    let mut model = joined().await;
    model.step(Step::Join(2)).await;
    sleep(BETWEEN).await;
    model.step(Step::Claim(0, 0, 0)).await;
    model.etcd.set_health(Health::Unheard);
    model.step(Step::Empty(0)).await;
    sleep(BETWEEN).await;
    model.step(Step::Claim(0, 0, 0)).await;
    model.etcd.set_health(Health::Well);
    model.step(Step::Claim(2, 0, 1)).await;
    assert_eq!(owners(&model), [("name-0/2-of-2".to_owned(), "agent-1".to_owned())]);
    model.check();
    sleep(SETTLED).await;
    model.check_settled();
}

/// A change that etcd takes so long for that nobody waits any more, on a connection that lasts.
#[tokio::test(start_paused = true)]
async fn a_slow_delete_takes_no_name_from_who_has_it() {
    let mut model = joined().await;
    model.step(Step::Claim(0, 0, 0)).await;
    model.late(0, 6, 20, false).await;
    assert_eq!(model.held().len(), 1);
    sleep(SETTLED).await;
    model.check_settled();
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_leaves_no_name_to_nobody() {
    let mut model = joined().await;
    let etcd = model.etcd.clone();
    etcd.set_health(Health::Late);
    let soon_well = async {
        sleep(BETWEEN).await;
        etcd.set_health(Health::Well);
    };
    tokio::join!(model.step(Step::Claim(0, 0, 0)), soon_well);
    assert!(model.held().is_empty());
    sleep(DIRECTORY_LEASE / 2).await;
    model.etcd.late_arrives();
    sleep(SETTLED).await;
    model.check_settled();
}

#[tokio::test(start_paused = true)]
async fn a_hub_whose_key_is_deleted_writes_it_anew() {
    let mut model = joined().await;
    model.step(Step::Claim(0, 0, 0)).await;
    sleep(DIRECTORY_LEASE).await;
    model.step(Step::Delete(0)).await;
    sleep(DIRECTORY_LEASE).await;
    assert_eq!(owners(&model), [("name-0/1-of-0".to_owned(), "agent-0".to_owned())]);
    model.check_settled();
}
