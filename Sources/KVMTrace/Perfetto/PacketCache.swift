/// The compressed packets of a trace, which are decompressed when a stream comes to them; the last ones are kept, because each holds
/// events of several CPUs.
///
/// Nothing here is held by a stream from one page to the next, so memory does not grow with the number of CPUs. Not for use by
/// several threads at once.
final class PacketCache {
  /// Where a compressed packet lies.
  struct Place {
    /// Of its compressed bytes, in the file.
    let offset: Int
    let count: UInt32
    /// How long it is when it is decompressed.
    let inflatedCount: UInt32
    let compression: PacketCompression
  }

  private struct Kept {
    let number: Int
    let bytes: SectionBytes
    /// When it was last asked for.
    var use: Int
  }

  /// So much is kept, in bytes, or one packet.
  private static let bytesMax = 16 << 20

  private let file: FileBytes
  private let inflater = PacketInflater()
  let places: [Place]
  private var kept: [Kept] = []
  private var uses = 0
  private var keptBytes = 0

  init(_ file: FileBytes, _ places: [Place]) {
    self.file = file
    self.places = places
  }

  /// What the packet with this number holds, with `WireCursor.slackBytes` behind it; nil where that can no longer be read. It stays
  /// valid as long as the object.
  func packet(_ number: Int) -> SectionBytes? {
    uses += 1
    if let position = kept.lastIndex(where: { $0.number == number }) {
      kept[position].use = uses
      return kept[position].bytes
    }
    guard let bytes = inflate(places[number]) else { return nil }
    keptBytes += bytes.bytes.count
    kept.append(Kept(number: number, bytes: bytes, use: uses))
    while keptBytes > Self.bytesMax, kept.count > 1 {
      let oldest = kept.indices.min { kept[$0].use < kept[$1].use }!
      keptBytes -= kept[oldest].bytes.bytes.count
      kept.remove(at: oldest)
    }
    return bytes
  }

  private func inflate(_ place: Place) -> SectionBytes? {
    let input = SectionBytes(count: Int(place.count))
    guard file.read(at: place.offset, into: input.bytes) == input.bytes.count else { return nil }
    let inflated: UnsafeRawBufferPointer
    switch inflater.inflate(UnsafeRawBufferPointer(input.bytes), place.compression) {
    case .whole(let bytes), .cut(let bytes): inflated = bytes
    case .failed: return nil
    }
    guard inflated.count >= Int(place.inflatedCount) else { return nil }
    let bytes = SectionBytes(count: Int(place.inflatedCount) + WireCursor.slackBytes)
    bytes.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: inflated[..<Int(place.inflatedCount)]))
    return bytes
  }
}
