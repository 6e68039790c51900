//! Taking over the path of a Unix socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use palomar_transport::{BindError, UnixSocket};

#[tokio::test]
async fn a_missing_directory_is_made_and_the_socket_is_for_owner_and_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/palomar/palomar.sock");
    let socket = UnixSocket::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    assert_eq!(socket.guard.path(), path);
    UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn the_socket_of_a_dead_server_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err());
    let _socket = UnixSocket::bind(&path).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn the_socket_of_a_live_server_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    let live = UnixListener::bind(&path).unwrap();
    let error = UnixSocket::bind(&path).unwrap_err();
    assert!(matches!(&error, BindError::InUse(in_use) if *in_use == path), "{error}");
    assert!(error.to_string().contains("palomar.sock"));
    live.accept().unwrap();
    UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn a_server_too_busy_to_accept_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _queued = UnixStream::connect(&path).unwrap();
    assert!(matches!(UnixSocket::bind(&path), Err(BindError::InUse(_))));
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(UnixSocket::bind(&path), Err(BindError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn the_guard_removes_its_own_socket_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palomar.sock");
    drop(UnixSocket::bind(&path).unwrap());
    assert!(!path.exists());

    let first = UnixSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let second = UnixSocket::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x".repeat(120));
    assert!(matches!(UnixSocket::bind(&path), Err(BindError::Listen { .. })));
    assert!(!path.exists());
}
