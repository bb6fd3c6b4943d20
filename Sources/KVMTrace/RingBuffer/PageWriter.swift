internal import Glibc
package import KVMTypes

/// Writes events into a sub-buffer page as the kernel's ring buffer does (kernel/trace/ring_buffer.c), little-endian and with a long
/// of eight bytes: what `PageDecoder` reads.
///
/// Invariant: `storage` has `pageBytes` bytes until deinit, of which the first `end` are written; from `zeroBegin` on all that are not
/// are zeros.
package struct PageWriter: ~Copyable {
  /// u64 time stamp, u64 commit.
  static let headerBytes = 16
  /// The longest data that has no length word of its own.
  private static let shortBytesMax = 4 * 28
  /// A delta has so many bits.
  private static let deltaBits: UInt64 = 27

  /// How long a page is where nobody asks for another length: a stream holds the records of one.
  package static let defaultPageBytes = 1 << 14

  let pageBytes: Int
  private let storage: UnsafeMutableRawPointer
  private var end = Self.headerBytes
  private var stamp: UInt64 = 0
  /// Where the zeros begin that the last page left: short pages cost no more than what is in them.
  private var zeroBegin: Int
  /// How many events the page has.
  package private(set) var eventCount = 0
  /// How many events are missing before the first one, 0 for an unknown number; nil for none.
  package var lost: UInt64?

  /// - Parameter pageBytes: how long a page is. The longest event is 64 bytes shorter than that.
  package init(pageBytes: Int = Self.defaultPageBytes) {
    self.pageBytes = pageBytes
    zeroBegin = pageBytes
    storage = .allocate(byteCount: pageBytes, alignment: 8)
  }

  deinit { storage.deallocate() }

  /// Begins an empty page.
  package mutating func begin() {
    (end, eventCount, lost) = (Self.headerBytes, 0, nil)
  }

  /// Room for an event's data, which is to be written whole; nil where it does not fit: the page is full, the stamp is too far from
  /// the one before, or the event is longer than any page.
  ///
  /// - Parameters:
  ///   - count: how long the data is, in bytes. It is rounded up to a multiple of four, with zeros.
  ///   - time: the stamp.
  @inline(__always)
  package mutating func reserve(_ count: Int, at time: Nanoseconds) -> UnsafeMutableRawPointer? {
    if var place = cursor, let data = place.reserve(count, at: time) {
      cursor = place
      return data
    }
    return reserveSlowly((count &+ 3) & ~3, at: time)
  }

  @inline(never)
  private mutating func reserveSlowly(_ room: Int, at time: Nanoseconds) -> UnsafeMutableRawPointer? {
    // A time extend or an absolute stamp, a header, a length word; behind the data the number of lost events.
    guard room > 0, end + 8 + 8 + room <= pageBytes - 8 else { return nil }
    if eventCount == 0 {
      stamp = time.rawValue
      storage.storeBytes(of: stamp, as: UInt64.self)
    }
    var delta = time.rawValue &- stamp
    if time.rawValue < stamp || delta >> (Self.deltaBits + 32) != 0 {
      // The upper bits of an absolute stamp are those of the one before; a page has room for all bits of its own.
      let low = time.rawValue & (1 << 59 - 1)
      guard PageDecoder.absolute(low, after: stamp) == time.rawValue else { return nil }
      append(31 | UInt32(truncatingIfNeeded: time.rawValue & (1 << 27 - 1)) << 5)
      append(UInt32(truncatingIfNeeded: time.rawValue >> 27))
      delta = 0
    } else if delta >> Self.deltaBits != 0 {
      append(30 | UInt32(truncatingIfNeeded: delta & (1 << 27 - 1)) << 5)
      append(UInt32(truncatingIfNeeded: delta >> 27))
      delta = 0
    }
    if room <= Self.shortBytesMax {
      append(UInt32(room / 4) | UInt32(truncatingIfNeeded: delta) << 5)
    } else {
      append(UInt32(truncatingIfNeeded: delta) << 5)
      append(UInt32(room + 4))
    }
    let data = storage + end
    (data + (room - 4)).storeBytes(of: 0, as: UInt32.self)
    end += room
    stamp = time.rawValue
    eventCount += 1
    return data
  }

  private mutating func append(_ word: UInt32) {
    storage.storeBytes(of: word, toByteOffset: end, as: UInt32.self)
    end += 4
  }

  /// Where the next event goes, in a page that has one: what a loop over many events keeps in registers, and gives back.
  struct Cursor {
    fileprivate let storage: UnsafeMutableRawPointer
    fileprivate let pageBytes: Int
    fileprivate var end: Int
    fileprivate var stamp: UInt64
    fileprivate var eventCount: Int

    /// As `PageWriter.reserve`; nil also for an event that is long, or comes long after the one before, or before it.
    @inline(__always)
    mutating func reserve(_ count: Int, at time: Nanoseconds) -> UnsafeMutableRawPointer? {
      let delta = time.rawValue &- stamp
      let room = (count &+ 3) & ~3
      let begin = end
      guard delta >> PageWriter.deltaBits == 0, room <= PageWriter.shortBytesMax, room > 0,
        begin &+ 4 &+ room <= pageBytes &- 8
      else { return nil }
      storage.storeBytes(
        of: UInt32(truncatingIfNeeded: room / 4) | UInt32(truncatingIfNeeded: delta) << 5,
        toByteOffset: begin, as: UInt32.self)
      storage.storeBytes(of: 0, toByteOffset: begin &+ room, as: UInt32.self)
      (end, stamp, eventCount) = (begin &+ 4 &+ room, time.rawValue, eventCount &+ 1)
      return storage + (begin &+ 4)
    }
  }

  /// The cursor; nil in a page without events. What is set comes from this page.
  var cursor: Cursor? {
    get {
      eventCount == 0
        ? nil
        : Cursor(storage: storage, pageBytes: pageBytes, end: end, stamp: stamp, eventCount: eventCount)
    }
    set {
      guard let newValue else { return }
      (end, stamp, eventCount) = (newValue.end, newValue.stamp, newValue.eventCount)
    }
  }

  /// The page, with zeros behind its events. It is valid until the next event is written.
  package mutating func finish() -> UnsafeRawBufferPointer {
    // One that only tells of a loss comes behind the last event.
    if eventCount == 0 { storage.storeBytes(of: stamp, as: UInt64.self) }
    var commit = UInt64(end - Self.headerBytes)
    var used = end
    if let lost {
      commit |= 1 << 31
      if lost > 0 {
        commit |= 1 << 30
        storage.storeBytes(of: lost, toByteOffset: end, as: UInt64.self)
        used += 8
      }
    }
    storage.storeBytes(of: commit, toByteOffset: 8, as: UInt64.self)
    if used < zeroBegin { memset(storage + used, 0, zeroBegin - used) }
    zeroBegin = used
    return UnsafeRawBufferPointer(start: storage, count: pageBytes)
  }
}
