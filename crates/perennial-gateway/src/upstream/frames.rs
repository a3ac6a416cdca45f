//! Where one WebSocket frame ends and the next begins (RFC 6455 §5.2), in bytes that pass by; and the frame that closes.

/// Follows one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_MAX],
    /// Bytes of the header that have passed.
    seen: usize,
    /// Bytes of the payload that are still to pass.
    left: u64,
    closing: bool,
}

impl Frames {
    /// Takes note of bytes that pass. The number of those up to the first end of a frame among them, if there is one.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut boundary) = (0, None);
        while at < bytes.len() {
            if self.left > 0 {
                let passing = usize::try_from(self.left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                self.left -= passing as u64;
                at += passing;
            } else {
                self.header[self.seen] = bytes[at];
                self.seen += 1;
                at += 1;
                if self.seen < self.header_length() {
                    continue;
                }
                self.closing |= self.header[0] & OPCODE == CLOSE;
                self.left = self.payload_length();
                self.seen = 0;
            }
            if self.is_between() && boundary.is_none() {
                boundary = Some(at);
            }
        }
        boundary
    }

    /// Whether the last byte that passed was the last of its frame.
    pub(super) fn is_between(&self) -> bool {
        self.seen == 0 && self.left == 0
    }

    /// Whether a Close frame has passed: nothing may follow it (RFC 6455 §5.5.1).
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// As far as is known from what has been seen of the header.
    fn header_length(&self) -> usize {
        if self.seen < 2 {
            return 2;
        }
        let mask = if self.header[1] & MASKED != 0 { 4 } else { 0 };
        mask + match self.header[1] & LENGTH {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_length(&self) -> u64 {
        let bytes = |count: usize| self.header[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self.header[1] & LENGTH {
            126 => bytes(2),
            127 => bytes(8),
            short => short.into(),
        }
    }
}

/// A server's Close frame: 1008, policy violation, is what there is for "you may no longer" (RFC 6455 §7.4.1).
pub(super) fn close_frame() -> Vec<u8> {
    let mut frame = vec![FINAL | CLOSE, u8::try_from(2 + REASON.len()).unwrap_or(2)];
    frame.extend(POLICY_VIOLATION.to_be_bytes());
    frame.extend(REASON.as_bytes());
    frame
}

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const POLICY_VIOLATION: u16 = 1008;

/// Control frames hold 125 bytes at most, two of which are the code.
const REASON: &str = "session ended";

/// Two bytes, eight for the length, four for the mask.
const HEADER_MAX: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// One frame with a payload of so many bytes, in the shortest form.
    fn frame(opcode: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = vec![FINAL | opcode];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Of bytes that would themselves be the beginning of a Close frame.
        frame.extend(std::iter::repeat_n(FINAL | CLOSE, length + if masked { 4 } else { 0 }));
        frame
    }

    #[test]
    fn the_end_of_a_frame_is_seen_whatever_its_length_and_however_it_is_cut() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 127, 0xffff, 0x10000] {
                let (whole, last) = (frame(1, masked, length), frame(CLOSE, masked, 2));
                let both = [whole.clone(), last].concat();
                assert_eq!(Frames::default().pass(&both), Some(whole.len()), "in one piece: {length} {masked}");
                let mut frames = Frames::default();
                for (at, byte) in both.iter().enumerate() {
                    let ends = at + 1 == whole.len() || at + 1 == both.len();
                    assert_eq!(frames.pass(&[*byte]), ends.then_some(1), "byte {at} of {length} {masked}");
                    assert_eq!(frames.is_between(), ends, "byte {at} of {length} {masked}");
                    assert_eq!(frames.is_closing(), at + 1 >= both.len() - 2, "byte {at} of {length} {masked}");
                }
            }
        }
    }

    #[test]
    fn our_own_close_frame_is_one() {
        let mut frames = Frames::default();
        let close = close_frame();
        assert_eq!(frames.pass(&close), Some(close.len()));
        assert!(frames.is_closing() && frames.is_between());
        assert_eq!((close[1] & MASKED, &close[2..4]), (0, &[0x03, 0xf0][..]));
    }
}
