//! A daemon's document of a container, as it comes over its socket.

use docker::types::Container;

pub(super) fn feed(bytes: &[u8]) {
    let Ok(container) = Container::from_document(bytes) else { return };
    assert!(
        container.ports.is_sorted_by_key(|port| (port.container_port, port.host_port)),
        "ports are sorted"
    );
    assert!(container.labels.is_sorted(), "labels are sorted");
    assert!(container.labels.iter().all(|(name, _)| !name.starts_with("com.docker.")));
    assert!(container.depends_on.iter().all(|service| super::is_tame(service)));
    container.available();
    let kept = serde_json::to_value(&container).expect("a container is written as JSON");
    assert_eq!(serde_json::from_value::<Container>(kept).ok(), Some(container), "and read back");
}
