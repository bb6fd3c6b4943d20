internal import Glibc

/// The events of one writer that have one stamp, and how far they are written.
///
/// Invariant: once there were events, `storage` holds `byteCount` bytes and `ends` `eventsMax` numbers until deinit; the first
/// `ends[count - 1]` of the bytes are the data of `count` events.
struct StampGroup: ~Copyable {
  /// So many there can be: two events rarely have one stamp, for the kernel's counter ticks faster than it records.
  static let eventsMax = 16

  private var storage: UnsafeMutableRawPointer!
  private let byteCount: Int
  private var ends: UnsafeMutablePointer<Int>!
  private var count = 0
  /// Which event is the next one.
  private var position = 0

  /// - Parameter byteCount: how long the events are together at most.
  init(byteCount: Int) { self.byteCount = byteCount }

  deinit {
    storage?.deallocate()
    ends?.deallocate()
  }

  /// Takes the events of `lane` that have the stamp of its next one, up to where something is missing.
  mutating func fill(from lane: inout WriterLane) {
    if storage == nil {
      storage = .allocate(byteCount: byteCount, alignment: 8)
      ends = .allocate(capacity: Self.eventsMax)
    }
    let time = lane.time
    (count, position) = (0, 0)
    repeat {
      let begin = count == 0 ? 0 : ends[count - 1]
      guard count < Self.eventsMax, lane.data.count <= byteCount - begin else { return }
      memcpy(storage + begin, lane.data.baseAddress!, lane.data.count)
      ends[count] = begin + lane.data.count
      count += 1
      lane.step()
    } while lane.hasEvent && lane.missing.isEmpty && lane.time == time
  }

  /// The next event's data, nil behind the last one.
  var next: UnsafeRawBufferPointer? { position < count ? data(position) : nil }

  mutating func step() { position += 1 }

  private func data(_ index: Int) -> UnsafeRawBufferPointer {
    let begin = index == 0 ? 0 : ends[index - 1]
    return UnsafeRawBufferPointer(start: storage + begin, count: ends[index] - begin)
  }

  /// Whether the next event is `event`.
  func isNext(_ event: UnsafeRawBufferPointer, _ identity: EventIdentity) -> Bool {
    guard let next else { return false }
    return identity.areSame(next, event)
  }

  /// Whether `event` comes behind the next one, which is another.
  func hasLater(_ event: UnsafeRawBufferPointer, _ identity: EventIdentity) -> Bool {
    guard position < count, !isNext(event, identity) else { return false }
    var index = position + 1
    while index < count {
      if identity.areSame(data(index), event) { return true }
      index += 1
    }
    return false
  }
}
