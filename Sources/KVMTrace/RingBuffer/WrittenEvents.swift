internal import KVMTypes

/// The events of a page that a `PageWriter` wrote, one after another.
///
/// Invariant: `base ..< base + end` is the page up to the end of its events, and readable while the page is valid.
struct WrittenEvents {
  private let base: UnsafeRawPointer
  private let end: Int
  private var offset = PageWriter.headerBytes
  /// The stamp of the event at hand.
  private(set) var time: UInt64
  /// Its data, with the zeros that round it up.
  private(set) var data = UnsafeRawBufferPointer(start: nil, count: 0)

  init(_ page: UnsafeRawBufferPointer) {
    base = page.baseAddress!
    time = base.load(as: UInt64.self)
    let commit = base.load(fromByteOffset: 8, as: UInt64.self)
    end = offset + PageDecoder.Header(stamp: time, commit: commit).dataBytes
  }

  /// Goes to the next event; false at the end of the page.
  @inline(__always)
  mutating func next() -> Bool {
    while offset < end {
      let header = word(0)
      let (type, delta) = (header & 0x1f, UInt64(header >> 5))
      switch type {
      case 31: time = PageDecoder.absolute(UInt64(word(4)) << 27 | delta, after: time)
      case 30: time &+= UInt64(word(4)) << 27 | delta
      default:
        time &+= delta
        let head = type == 0 ? 8 : 4
        let count = type == 0 ? Int(word(4)) &- 4 : Int(type) &* 4
        data = UnsafeRawBufferPointer(start: base + (offset &+ head), count: count)
        offset &+= head &+ count
        return true
      }
      offset &+= 8
    }
    return false
  }

  @inline(__always)
  private func word(_ place: Int) -> UInt32 { base.load(fromByteOffset: offset &+ place, as: UInt32.self) }
}
