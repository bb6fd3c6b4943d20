/// Numbers of tracks, packet sequences, processes and flows, which may not be those of another trace that the file is put
/// behind or before: hashes, so that the same recording has the same ones always.
///
/// Processes and threads are the file's own, with numbers that no kernel gives (from 2^30 on, `PID_MAX_LIMIT` is 2^22): the
/// real ones would change what a trace tells of these threads, and two VMs of one process would be one.
struct TrackIdentity {
  /// The parts that a track's number is made of.
  enum Kind: UInt64 {
    case replay = 1
    case vm, thread, faults, held, waited, counter, markers, flow, losses
  }

  private let seed: UInt64

  /// - Parameters:
  ///   - name: what the input is called.
  ///   - position: its position among several.
  init(input name: String, position: Int) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    seed = Self.mix(hash ^ Self.mix(UInt64(position)))
  }

  /// `trusted_packet_sequence_id`: recorders count theirs from 1 on. Four bytes on the wire.
  var sequence: UInt64 { 1 << 27 | seed >> 37 }

  /// Whether a packet sequence may be one of tracks.
  static func isSequence(_ number: UInt64) -> Bool { number >> 27 == 1 }

  /// A track's number: eight bytes on the wire.
  func uuid(_ kind: Kind, _ numbers: UInt64...) -> UInt64 {
    let hash = hash(kind, numbers) >> 8
    return hash == 0 ? 1 : hash
  }

  /// A flow's number.
  func flow(_ number: UInt64) -> UInt64 { hash(.flow, [number]) | 1 }

  /// The number of the process, or thread, that has a track.
  static func pid(ofTrack uuid: UInt64) -> UInt64 { 1 << 30 | uuid & ((1 << 30) - 1) }

  private func hash(_ kind: Kind, _ numbers: [UInt64]) -> UInt64 {
    numbers.reduce(Self.mix(seed &+ kind.rawValue)) { Self.mix($0 ^ Self.mix($1 &+ 1)) }
  }

  /// SplitMix64's last step: each bit of the result depends on each of the number.
  private static func mix(_ number: UInt64) -> UInt64 {
    var mixed = number &+ 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
