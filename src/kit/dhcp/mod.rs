//! DHCP on dhcproto: server and client.
