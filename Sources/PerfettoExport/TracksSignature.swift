/// Tells a file of tracks alone, which can be written again, from a recording, which cannot: also from one with tracks behind it, or
/// before it, as `cat` makes them.
///
/// The first packet of each sequence begins with a mark of this program, and all others are of such a sequence.
public enum TracksSignature {
  /// What the first entry of the first packet says, in every version of this program that has it.
  static let mark = "tracks of pkvm-replay"
  /// Its number, behind those of all words.
  static let markNumber: UInt64 = 255
  /// No packet of tracks is longer.
  private static let packetBytesMax: UInt64 = 1 << 24

  /// Whether a file is one of tracks alone, from its first packet to its last.
  ///
  /// - Parameter read: delivers what follows of the file, as many bytes as it likes; 0 at its end, less where it cannot be read.
  public static func isOfTracksAlone(_ read: @escaping (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    var mark = WireBuffer()
    mark.trackMark()
    var begun: Set<UInt64> = []
    var bytes = Bytes(read: read)
    while let tag = bytes.next() {
      guard tag == 0x0a, let length = bytes.varint(), length <= packetBytesMax else { return false }
      let begin = bytes.offset
      guard bytes.take([0x50]), let sequence = bytes.varint(), TrackIdentity.isSequence(sequence),
        bytes.take([0x68]), let flags = bytes.varint()
      else { return false }
      if flags == PacketField.stateCleared | PacketField.needsState {
        // first_packet_on_sequence, and interned_data with its length.
        guard bytes.take([0xb8, 0x05, 0x01, 0x62]), bytes.varint() != nil, bytes.take(mark.bytes) else {
          return false
        }
        begun.insert(sequence)
      }
      let taken = bytes.offset - begin
      guard begun.contains(sequence), taken <= length, bytes.skip(length - taken) else { return false }
    }
    return !begun.isEmpty && !bytes.hasFailed
  }

  /// The bytes of a file, one after the other.
  private struct Bytes {
    private let read: (UnsafeMutableRawBufferPointer) -> Int
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)
    private var (position, end) = (0, 0)
    private(set) var hasFailed = false
    /// How many are behind.
    private(set) var offset: UInt64 = 0

    init(read: @escaping (UnsafeMutableRawBufferPointer) -> Int) { self.read = read }

    mutating func next() -> UInt8? {
      guard fill() else { return nil }
      defer { (position, offset) = (position + 1, offset + 1) }
      return buffer[position]
    }

    mutating func varint() -> UInt64? {
      var value: UInt64 = 0
      for index in 0..<10 {
        guard let byte = next() else { return nil }
        value |= UInt64(byte & 0x7f) << UInt64(7 * index)
        if byte & 0x80 == 0 { return value }
      }
      return nil
    }

    /// Whether these follow, which are behind then.
    mutating func take(_ expected: [UInt8]) -> Bool { expected.allSatisfy { next() == $0 } }

    /// Whether so many follow, which are behind then.
    mutating func skip(_ count: UInt64) -> Bool {
      var left = count
      while left > 0 {
        guard fill() else { return false }
        let step = min(left, UInt64(end - position))
        (position, offset, left) = (position + Int(step), offset + step, left - step)
      }
      return true
    }

    private mutating func fill() -> Bool {
      guard position == end else { return true }
      let read = read
      let count = buffer.withUnsafeMutableBytes { read($0) }
      if count < 0 { hasFailed = true }
      (position, end) = (0, max(count, 0))
      return end > 0
    }
  }
}
