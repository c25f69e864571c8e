use std::net::IpAddr;

use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::*;

const SEED: [u8; 32] = [7; 32];
const ID: PeerId = PeerId::new([9; 32]);
const ALICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7001);

/// The other end of the line, in the hands of a test.
struct Board {
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
    reader: Reader,
    bytes: Vec<u8>,
}

impl Board {
    fn new(end: DuplexStream) -> Self {
        let (from, to) = split(end);
        Self { from, to, reader: Reader::new(), bytes: Vec::new() }
    }

    /// The next frame that is no wake-up call, as `then` sees it.
    async fn next<R>(&mut self, then: impl Fn(Frame<'_>) -> R) -> R {
        let next = async {
            loop {
                let mut bytes = self.bytes.as_slice();
                let frame = self.reader.read(&mut bytes);
                let found = frame.filter(|frame| *frame != Frame::Ask { token: 0 }).map(&then);
                self.bytes = bytes.to_vec();
                if let Some(found) = found {
                    return found;
                }
                if self.bytes.is_empty() {
                    let mut piece = [0; 64];
                    let length = self.from.read(&mut piece).await.unwrap();
                    assert!(length > 0, "the line is cut");
                    self.bytes = piece[..length].to_vec();
                }
            }
        };
        timeout(PATIENCE, next).await.unwrap()
    }

    async fn send(&mut self, frame: &Frame<'_>) {
        self.to.write_all(&encode(frame)).await.unwrap();
    }

    async fn next_datagram(&mut self) -> (Vec<u8>, SocketAddr) {
        self.next(|frame| match frame {
            Frame::Datagram { peer, bytes } => (bytes.to_vec(), peer),
            other => panic!("{other:?}"),
        })
        .await
    }
}

async fn start() -> (Bridge, Board, UdpSocket) {
    let (near, far) = duplex(100);
    let (reader, writer) = split(near);
    let mut board = Board::new(far);
    let started = async {
        board.next(|frame| assert!(matches!(frame, Frame::Start { seed: SEED, .. }))).await;
        board.send(&Frame::Started { id: ID, max_chunks: 5 }).await;
    };
    let (bridge, ()) = tokio::join!(Bridge::start(reader, writer, SEED), started);
    let bridge = bridge.unwrap();
    assert_eq!((bridge.id, bridge.max_chunks), (ID, 5));
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    peer.connect(bridge.addr).await.unwrap();
    (bridge, board, peer)
}

async fn received(peer: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; MAX_DATAGRAM];
    let length = timeout(PATIENCE, peer.recv(&mut buffer)).await.unwrap().unwrap();
    buffer[..length].to_vec()
}

async fn until(bridge: &Bridge, holds: impl Fn(BridgeStats) -> bool) {
    let wait = async {
        while !holds(bridge.stats()) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

fn adds_up(stats: BridgeStats) -> bool {
    stats.seen == stats.passed + stats.crowded + stats.too_long + stats.cut
}

#[tokio::test]
async fn datagrams_pass_both_ways_with_the_peers_address() {
    let (bridge, mut board, peer) = start().await;
    peer.send(b"question").await.unwrap();
    let (bytes, from) = board.next_datagram().await;
    assert_eq!((bytes.as_slice(), from), (b"question".as_slice(), peer.local_addr().unwrap()));
    board.send(&Frame::Datagram { peer: from, bytes: b"answer" }).await;
    assert_eq!(received(&peer).await, b"answer");
    peer.send(&[0; MAX_DATAGRAM]).await.unwrap();
    assert_eq!(board.next_datagram().await.0, [0; MAX_DATAGRAM], "the longest, and of the hardest bytes to frame");
    let stats = bridge.stats();
    assert_eq!((stats.seen, stats.passed, stats.answers), (2, 2, 1));
}

#[tokio::test]
async fn what_is_no_frame_is_counted_and_the_next_one_is_understood() {
    let (bridge, mut board, peer) = start().await;
    let answer = encode(&Frame::Datagram { peer: peer.local_addr().unwrap(), bytes: b"answer" });
    let (torn, rest) = answer.split_at(answer.len() / 2);
    let noises: [(&[u8], LineStats); 5] = [
        (torn, LineStats { damaged: 1, ..LineStats::default() }),
        (rest, LineStats { damaged: 1, ..LineStats::default() }),
        (b"U\xffU\x01", LineStats { damaged: 1, ..LineStats::default() }),
        (&[0, 0, 0], LineStats::default()),
        (&[0xaa; 2 * MAX_FRAME], LineStats { too_long: 1, ..LineStats::default() }),
    ];
    for (noise, counted) in noises {
        let before = bridge.stats().line;
        board.to.write_all(noise).await.unwrap();
        board.to.write_all(&answer).await.unwrap();
        assert_eq!(received(&peer).await, b"answer");
        until(&bridge, |stats| stats.line.frames > before.frames).await;
        let now = bridge.stats().line;
        assert_eq!(now.damaged - before.damaged, counted.damaged, "{noise:?}");
        assert_eq!(now.too_long - before.too_long, counted.too_long, "{noise:?}");
    }
    board.to.write_all(&[answer.as_slice(), &answer].concat()).await.unwrap();
    assert_eq!((received(&peer).await, received(&peer).await), (b"answer".to_vec(), b"answer".to_vec()));
}

#[tokio::test]
async fn a_board_that_heard_nothing_is_started_again() {
    let (near, far) = duplex(100);
    let (reader, writer) = split(near);
    let mut board = Board::new(far);
    let started = async {
        board.next(|frame| assert!(matches!(frame, Frame::Start { .. }))).await;
        board.to.write_all(b"boot: 0.1\n").await.unwrap();
        board.next(|frame| assert!(matches!(frame, Frame::Start { seed: SEED, .. }))).await;
        board.send(&Frame::Started { id: ID, max_chunks: 5 }).await;
    };
    let (bridge, ()) = tokio::join!(Bridge::start(reader, writer, SEED), started);
    assert_eq!(bridge.unwrap().id, ID);
}

#[tokio::test]
async fn a_line_that_ends_before_the_start_is_an_error() {
    let (near, far) = duplex(100);
    let (reader, writer) = split(near);
    drop(far);
    assert_eq!(Bridge::start(reader, writer, SEED).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn no_more_than_the_window_is_on_its_way() {
    let (bridge, mut board, peer) = start().await;
    let all = WINDOW as u64 + 3;
    for _ in 0..all {
        peer.send(b"question").await.unwrap();
    }
    until(&bridge, |stats| stats.seen == all).await;
    let stats = bridge.stats();
    assert_eq!((stats.passed, stats.crowded), (WINDOW as u64, 3));
    board.send(&Frame::Taken).await;
    // The answer to a second frame tells that the first one was read.
    board.send(&Frame::Datagram { peer: peer.local_addr().unwrap(), bytes: b"answer" }).await;
    received(&peer).await;
    peer.send(b"question").await.unwrap();
    until(&bridge, |stats| stats.seen == all + 1).await;
    assert_eq!(bridge.stats().passed, WINDOW as u64 + 1);
    assert!(adds_up(bridge.stats()));
}

#[tokio::test]
async fn a_cut_line_lets_exactly_so_many_pass() {
    let (bridge, mut board, peer) = start().await;
    bridge.cut_after(2);
    for _ in 0..5 {
        peer.send(b"question").await.unwrap();
    }
    timeout(PATIENCE, bridge.cut()).await.unwrap();
    until(&bridge, |stats| stats.seen == 5).await;
    let stats = bridge.stats();
    assert_eq!((stats.passed, stats.cut, stats.crowded), (2, 3, 0));
    assert!(adds_up(stats));
    board.next_datagram().await;
    board.next_datagram().await;

    // Its counts can still be asked for, and an older answer is not taken for it.
    let answer = async {
        let token =
            board.next(|frame| if let Frame::Ask { token } = frame { token } else { panic!("{frame:?}") }).await;
        for (token, dropped) in [(0, 1), (token.wrapping_add(2), 2), (token, 3)] {
            board.send(&Frame::Counts { token, stats: BoardStats { dropped, ..BoardStats::default() } }).await;
        }
    };
    let (counts, ()) = tokio::join!(bridge.counts(), answer);
    assert_eq!(counts.unwrap().dropped, 3);
}

#[test]
fn a_datagram_that_got_lost_on_the_line_gives_its_place_back() {
    let (mut state, now) = (State::default(), Instant::now());
    let passes = |state: &mut State, at| matches!(state.fate(b"question", ALICE, at), Fate::Passed(_));
    for _ in 0..WINDOW {
        assert!(passes(&mut state, now));
    }
    assert!(!passes(&mut state, now + LOST - Duration::from_nanos(1)));
    assert!(passes(&mut state, now + LOST));
    state.taken(now + LOST);
    state.taken(now + LOST); // more than were sent: a frame of somebody else's making
    assert_eq!(state.on_their_way, 0);
}

#[test]
fn what_is_too_long_for_the_protocol_stays_outside() {
    let mut state = State::default();
    assert!(matches!(state.fate(&[0; MAX_DATAGRAM + 1], ALICE, Instant::now()), Fate::Dropped));
    assert!(matches!(state.fate(&[0; MAX_DATAGRAM], ALICE, Instant::now()), Fate::Passed(_)));
    assert!(state.stats.too_long == 1 && adds_up(state.stats));
}
