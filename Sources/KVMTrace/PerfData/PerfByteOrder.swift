/// Turns records of the kernel that are in the other byte order, field by field as their formats say.
///
/// Arrays whose elements are longer than a byte stay as they are: what is wanted of KVM's events are numbers.
final class PerfByteOrder {
  private let formats: EventFormats
  private let fields: [UInt16: [(offset: Int, size: Int)]]
  private static let common = [(offset: 0, size: 2), (offset: 4, size: 4)]

  init(_ formats: EventFormats) {
    self.formats = formats
    fields = Dictionary(
      formats.formats.map { format in
        let own = format.fields.filter { $0.isScalar || $0.isDynamic }.map { ($0.offset, $0.size) }
        return (format.id, Self.common + own.filter { $0.0 >= PerfSample.rawBytesMin })
      }, uniquingKeysWith: { first, _ in first })
  }

  /// Turns the record of `count` bytes at `data`, which begins as all do: u16 type, two bytes, i32 thread.
  func swap(_ data: UnsafeMutableRawPointer, _ count: Int) {
    let id = UInt16(bigEndian: data.loadUnaligned(as: UInt16.self))
    for (offset, size) in fields[id] ?? Self.common where offset + size <= count {
      let place = data + offset
      switch size {
      case 2: place.storeBytes(of: place.loadUnaligned(as: UInt16.self).byteSwapped, as: UInt16.self)
      case 4: place.storeBytes(of: place.loadUnaligned(as: UInt32.self).byteSwapped, as: UInt32.self)
      case 8: place.storeBytes(of: place.loadUnaligned(as: UInt64.self).byteSwapped, as: UInt64.self)
      default: break
      }
    }
  }
}
