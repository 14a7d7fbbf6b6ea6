use tokio::net::UdpSocket;

use super::support::{Running, SETTINGS, echo, exchange, receive};

/// Sends to `to` at the port of a proxy that is bound to `bind`, from a socket that takes only what comes from there.
async fn exchange_over(bind: &str, from: &str, to: &str) {
    let running = Running::new(bind, &[echo().await], SETTINGS);
    let client = UdpSocket::bind(from).await.unwrap();
    client.connect((to, running.address.port())).await.unwrap();
    client.send(b"x").await.unwrap();
    assert_eq!(&receive(&client).await[2..], b"x");
}

#[tokio::test]
async fn responses_come_from_the_address_that_was_sent_to() {
    for to in ["127.0.0.1", "127.0.0.2", "127.9.9.9"] {
        exchange_over("0.0.0.0:0", "127.0.0.1:0", to).await;
    }
}

/// Sockets are bound some time before they are served.
#[tokio::test]
async fn so_do_responses_to_what_came_before_the_run() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(("127.0.0.2", socket.local_addr().unwrap().port())).await.unwrap();
    client.send(b"early").await.unwrap();
    let running = Running::on(socket, &[echo().await], SETTINGS);
    assert_eq!(&receive(&client).await[2..], b"early");
    exchange(&client, b"later").await;
    assert_eq!(running.proxy.open_flows(), 1, "both are of one flow");
}

#[tokio::test]
async fn responses_over_ipv6_come_from_the_address_that_was_sent_to() {
    exchange_over("[::]:0", "[::1]:0", "::1").await;
    exchange_over("[::1]:0", "[::1]:0", "::1").await;
}

#[tokio::test]
async fn one_client_at_two_addresses_has_two_flows() {
    let running = Running::new("0.0.0.0:0", &[echo().await, echo().await], SETTINGS);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut answers = Vec::new();
    for to in ["127.0.0.1", "127.0.0.2"] {
        client.connect((to, running.address.port())).await.unwrap();
        client.send(b"x").await.unwrap();
        answers.push(receive(&client).await);
    }
    assert_ne!(answers[0], answers[1], "each has an endpoint of its own");
    assert_eq!(running.proxy.open_flows(), 2);
}
