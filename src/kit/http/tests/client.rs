//! The client against servers of the worst kind, and many clients at once.

use super::*;

/// A server of the worst kind: answers each connection with the next of these, and closes.
fn scripted(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let answer = |text: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                heard.push(byte[0]);
            }
            let _ = stream.write_all(text.as_bytes());
            String::from_utf8_lossy(&heard).to_lowercase()
        };
        answers.into_iter().map(answer).collect()
    });
    (url, thread)
}

fn ok(length: usize, more: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{more}\r\n{body}")
}

#[test]
fn a_body_cut_short_never_passes_for_whole() {
    let rig = rig();
    for (answer, kind) in [
        (ok(10, "", "12345"), "http.broken"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n".into(), "http.broken"),
        ("HTTP/1.1 200 OK\r\n\r\n12345".into(), "http.length"),
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\n\r\n12345".into(),
            "http.status",
        ),
        ("nonsense\r\n\r\n".into(), "http.broken"),
        ("".into(), "http.broken"),
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into(), "http.status"),
    ] {
        let (url, thread) = scripted(vec![answer.clone()]);
        assert_eq!(rig.get(&url).unwrap_err().kind, kind, "{answer}");
        thread.join().unwrap();
    }
    let (url, thread) =
        scripted(vec!["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n".into()]);
    assert_eq!(rig.get(&url).unwrap(), b"12345");
    thread.join().unwrap();
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let rig = rig();
    let part = |range: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nContent-Range: bytes {range}/10\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let tagged = ok(10, "ETag: \"a\"\r\n", "01234");
    let fetch_it = |answers: Vec<String>, sha256: Option<&str>| {
        let (url, thread) = scripted(answers);
        let to = rig.dir.path().join("got");
        let _ = fs::remove_file(&to);
        let done =
            rig.runtime.block_on(fetch(&rig.host, &Fetch { url: &url, sha256, options: &Options::default() }, &to));
        (done, fs::read_to_string(&to).ok(), thread.join().unwrap())
    };
    let (done, got, heard) = fetch_it(vec![tagged.clone(), part("5-9", "56789")], None);
    assert_eq!((done.unwrap().retries, got.as_deref()), (1, Some("0123456789")));
    assert!(heard[1].contains("range: bytes=5-\r\n") && heard[1].contains("if-range: \"a\"\r\n"), "{}", heard[1]);
    // The file changed meanwhile, and a server that knows no ranges: from the beginning.
    let (done, got, _) = fetch_it(vec![tagged.clone(), ok(10, "ETag: \"b\"\r\n", "abcdefghij")], None);
    assert_eq!((done.unwrap().bytes, got.as_deref()), (10, Some("abcdefghij")));
    let (_, got, heard) = fetch_it(vec![ok(10, "", "01234"), ok(10, "", "abcdefghij")], None);
    assert!(got.as_deref() == Some("abcdefghij") && !heard[1].contains("range"));
    // The digest is looked at inside the loop; a wrong part is found by it, and fetched anew.
    let digest = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    let (done, got, _) = fetch_it(vec![tagged, part("5-9", "56788"), ok(10, "", "0123456789")], Some(digest));
    assert_eq!((done.unwrap().retries, got.as_deref()), (2, Some("0123456789")));
    let (done, got, _) = fetch_it(vec![ok(1, "", "x"); 4], Some(digest));
    assert_eq!((done.unwrap_err().kind.as_ref(), got), ("http.digest", None));
    assert_eq!(fs::read_dir(rig.dir.path()).unwrap().count(), 0, "nothing half-written stays");
}

#[test]
fn redirects_silence_and_limits_end() {
    let rig = rig();
    let (target, url) = rig.serve();
    rig.write("file", b"there");
    let to = |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    let (first, thread) = scripted(vec![to("/x/y"), to(&format!("{url}/file"))]);
    assert_eq!(rig.get(&format!("{first}/a")).unwrap(), b"there");
    assert!(thread.join().unwrap()[1].starts_with("get /x/y http/1.1"));
    let (round, thread) = scripted(vec![to("/"); 6]);
    assert_eq!(rig.get(&round).unwrap_err().kind, "http.redirect");
    thread.join().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { timeout: Duration::from_millis(100), retries: 1, ..Options::default() };
    let fault = rig.get_with(&format!("http://{}", silent.local_addr().unwrap()), &options).unwrap_err();
    assert_eq!(fault.kind, "http.timeout");
    let options = Options { limit: 4, ..Options::default() };
    assert_eq!(rig.get_with(&format!("{url}/file"), &options).unwrap_err().kind, "http.limit");
    target.stop();
    assert_eq!(rig.get("http://127.0.0.1:1/").unwrap_err().kind, "http.connect");
    let what = Fetch { url: &url, sha256: Some("short"), options: &options };
    assert_eq!(rig.runtime.block_on(get_bytes(&rig.host, &what)).unwrap_err().kind, "http.option");
}

#[test]
fn two_hundred_clients_at_once_get_exact_bytes() {
    let rig = rig();
    let data = Arc::new(noise(300_000));
    rig.write("file", &data);
    let (_server, url) = rig.serve();
    let all: Vec<_> = (0..200)
        .map(|_| {
            let (host, url, data) = (rig.host.clone(), format!("{url}/file"), data.clone());
            rig.runtime.spawn(async move {
                let options = Options::default();
                let got = get_bytes(&host, &Fetch { url: &url, sha256: None, options: &options }).await;
                assert!(got.unwrap() == *data);
            })
        })
        .collect();
    for one in all {
        rig.runtime.block_on(one).unwrap();
    }
}

#[test]
fn nonsense_harms_nobody() {
    let rig = rig();
    rig.write("file", b"x");
    let server = rig.start(Settings { bind: local(), head: Duration::from_millis(50), ..Settings::default() });
    let mut seed = 1u32;
    for round in 0..60 {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let mut bytes = b"GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\nContent-Length: 3\r\n\r\n".to_vec();
        for _ in 0..=round % 9 {
            let at = usize::from(next()) % bytes.len();
            bytes[at] = next();
        }
        let mut stream = TcpStream::connect(server.addresses[0]).unwrap();
        let _ = stream.write_all(&bytes);
    }
    let url = format!("http://{}/file", server.addresses[0]);
    eventually("the server is gone", || rig.get(&url).is_ok_and(|got| got == b"x"));
}
