//! async-tftp serving a folder, for tests/bench-servers: `bench-async-tftp ADDRESS:PORT FOLDER`. On a thread of its own, as it
//! is quickest.

use async_tftp::server::TftpServerBuilder;

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(folder)) = (words.next(), words.next()) else {
        panic!("bench-async-tftp ADDRESS:PORT FOLDER")
    };
    let address = address.parse().expect("an address and a port");
    async_io::block_on(async {
        let builder = TftpServerBuilder::with_dir_ro(folder).expect("a folder").bind(address);
        builder.build().await.expect("the address is free").serve().await.expect("it serves");
    });
}
